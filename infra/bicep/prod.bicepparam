using 'main.bicep'

param environmentName = 'prod'

// The page's app registration, docs/deploy.md. Nobody signs in without one.
param webClientId = ''
// Who gets alerts by mail. The deployment refuses to go on without.
param alertEmail = ''
// Tags, for whoever asks whose this is.
param owner = ''
param costCentre = ''

param instanceMemoryMB = 2048
// Each always busy would cost $137 a month; docs/deploy.md.
param maximumInstanceCount = 8
param alwaysReadyBlob = 1
param alwaysReadyHttp = 1
param uploadRetentionDays = 7
param resultRetentionDays = 0
param storageSku = 'Standard_ZRS'
param webMinimumInstances = 2
param webMaximumInstances = 6
param monthlyBudget = 500
param logRetentionDays = 90
param logDailyCapGB = 5
param privateNetworking = false
param containerRegistry = false
