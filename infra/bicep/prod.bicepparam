using 'main.bicep'

param environmentName = 'prod'
param instanceMemoryMB = 2048
param maximumInstanceCount = 100
param alwaysReadyBlob = 1
param alwaysReadyHttp = 1
param uploadRetentionDays = 7
param storageSku = 'Standard_ZRS'
param webMinimumInstances = 2
param webMaximumInstances = 6
param alertEmail = ''
param monthlyBudget = 500
param logRetentionDays = 90
param logDailyCapGB = 5
param privateNetworking = false
param containerRegistry = false
