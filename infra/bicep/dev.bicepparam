using 'main.bicep'

param environmentName = 'dev'
param instanceMemoryMB = 2048
param maximumInstanceCount = 40
param alwaysReadyBlob = 1
param alwaysReadyHttp = 0
param uploadRetentionDays = 2
param storageSku = 'Standard_LRS'
param webMinimumInstances = 1
param webMaximumInstances = 2
param alertEmail = ''
param monthlyBudget = 200
param logRetentionDays = 30
param logDailyCapGB = 1
param privateNetworking = false
param containerRegistry = false
