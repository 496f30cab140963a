using 'main.bicep'

param environmentName = 'dev'

// The page's app registration, docs/deploy.md. Nobody signs in without one.
param webClientId = ''
// Who gets alerts by mail, if anybody.
param alertEmail = ''
// Tags, for whoever asks whose this is.
param owner = ''
param costCentre = ''

param instanceMemoryMB = 2048
param maximumInstanceCount = 2
param alwaysReadyBlob = 1
param alwaysReadyHttp = 0
param uploadRetentionDays = 2
param resultRetentionDays = 30
param storageSku = 'Standard_LRS'
param webMinimumInstances = 1
param webMaximumInstances = 2
param monthlyBudget = 200
param logRetentionDays = 30
param logDailyCapGB = 1
param privateNetworking = false
param containerRegistry = false
