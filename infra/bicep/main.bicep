// Everything except what needs running code (events.bicep, modules/function-key.bicep). Deployed to one resource group
// per environment: at first, and for each release.
targetScope = 'resourceGroup'

@description('Which environment this is. It is part of every name.')
@allowed([
  'dev'
  'prod'
])
param environmentName string

@description('Azure region of all resources. Take one that offers Flex Consumption.')
param location string = resourceGroup().location

@description('The function app that serves. It and the page\'s production slot stay as they are: the other app and the slot staging get this deployment\'s settings. none: both apps and slots do.')
@allowed([
  'blue'
  'green'
  'none'
])
param liveColour string = any(contains(resourceGroup().tags, 'tonearmLiveColour') ? resourceGroup().tags.tonearmLiveColour : 'none')

@description('Model version to serve, a folder of models/ in the function package. Empty: its default version.')
@maxLength(64)
param modelVersion string = ''

@description('How many tiles of a recording VGG19 looks at: fast takes half the time, and is a little less accurate.')
@allowed([
  'accurate'
  'fast'
])
param mode string = 'accurate'

@description('Memory of a function instance, in MB. Cores come with it: about one at 2048.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('How many instances a function app may grow to. It bounds what a flood of uploads can cost.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 100

@description('Instances of each colour that always wait for uploads. Without one the listener never starts.')
@minValue(1)
@maxValue(20)
param alwaysReadyBlob int = 1

@description('Instances of each colour that always wait for HTTP requests. 0: the first caller waits for a start.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 1

@description('Days after which an upload is deleted. Results stay.')
@minValue(1)
@maxValue(365)
param uploadRetentionDays int = 7

@description('Copies of stored data: LRS within a data centre, ZRS over a region\'s zones, GZRS in a second region too.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GZRS'
])
param storageSku string = 'Standard_ZRS'

@description('Largest body of POST /api/classify, in bytes.')
@minValue(1)
param maxRequestBytes int = 67108864

@description('Longest recording of POST /api/classify, in seconds.')
@minValue(1)
param maxRequestDurationS int = 900

@description('Largest upload, in bytes.')
@minValue(1)
param maxUploadBytes int = 536870912

@description('Longest recording that is uploaded, in seconds.')
@minValue(1)
param maxDurationS int = 14400

@description('How long a signed URL to an upload can be used, in seconds.')
@minValue(1)
@maxValue(86400)
param uploadUrlTtlS int = 900

@description('Origins of web pages elsewhere that may call the API from a browser, such as https://music.example.')
param allowedOrigins array = []

@description('How long the web page waits for a result before it offers to go on waiting, in seconds.')
@minValue(1)
param resultWaitS int = 600

@description('Names of the web page of your own, such as music.example. It answers to no others.')
param webHostNames array = []

@description('Fewest instances of the web page.')
@minValue(1)
@maxValue(10)
param webMinimumInstances int = 1

@description('Most instances of the web page.')
@minValue(1)
@maxValue(10)
param webMaximumInstances int = 3

@description('Who gets alerts by mail. Empty: alerts show in the portal only.')
@maxLength(254)
param alertEmail string = ''

@description('Slowest 5 % of classifications may take this long, in milliseconds, before an alert.')
@minValue(100)
param latencyLimitMs int = 10000

@description('Costs a month, in the subscription\'s currency, that an alert is measured by. 0: no budget.')
@minValue(0)
param monthlyBudget int = 0

@description('First of a month, from which the budget counts. Only looked at where there is no budget yet.')
@minLength(10)
@maxLength(10)
param budgetStart string = utcNow('yyyy-MM-01')

@description('Retention of logs, in days.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Gigabytes of logs a day, after which the rest of the day is not logged.')
@minValue(1)
@maxValue(100)
param logDailyCapGB int = 5

@description('Storage and vault reachable by private endpoints only. Signed upload URLs then work inside the network only.')
param privateNetworking bool = false

@description('Whether to have a registry for the container images.')
param containerRegistry bool = false

// Unique in Azure, and fixed for this group.
var suffix = take(uniqueString(resourceGroup().id), 6)

var functionAppNames = {
  blue: 'func-tonearm-${environmentName}-blue-${suffix}'
  green: 'func-tonearm-${environmentName}-green-${suffix}'
}

// The colour that this release is for.
var idleColour = liveColour == 'blue' ? 'green' : 'blue'

var tags = {
  system: 'tonearm'
  environment: environmentName
}

// A budget's start cannot be changed, and must be in the current month when the budget is made. So the group has a tag
// with the month of the first deployment.
var firstBudgetStart = contains(resourceGroup().tags, 'tonearmBudgetStart') ? resourceGroup().tags.tonearmBudgetStart : budgetStart

resource groupTags 'Microsoft.Resources/tags@2024-03-01' = {
  name: 'default'
  properties: {
    tags: union(resourceGroup().tags, tags, {
      tonearmBudgetStart: firstBudgetStart
    })
  }
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    environmentName: environmentName
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGB: logDailyCapGB
    alertEmail: alertEmail
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    accountName: 'sttonearm${environmentName}${suffix}'
    location: location
    tags: tags
    sku: storageSku
    uploadRetentionDays: uploadRetentionDays
    privateNetworking: privateNetworking
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    vaultName: 'kv-tonearm-${environmentName}-${suffix}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    storageAccountName: storage.outputs.accountName
    vaultName: vault.outputs.vaultName
  }
}

module registry 'modules/registry.bicep' = if (containerRegistry) {
  name: 'registry'
  params: {
    registryName: 'crtonearm${environmentName}${suffix}'
    location: location
    tags: tags
    pullerPrincipalIds: [
      identities.outputs.functionsPrincipalId
      identities.outputs.webPrincipalId
    ]
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    storageAccountName: storage.outputs.accountName
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    vaultName: vault.outputs.vaultName
    functionsPrincipalId: identities.outputs.functionsPrincipalId
    webPrincipalId: identities.outputs.webPrincipalId
  }
}

module topic 'modules/event-topic.bicep' = {
  name: 'event-topic'
  params: {
    topicName: 'evgt-tonearm-${environmentName}-${suffix}'
    location: location
    tags: tags
    storageAccountName: storage.outputs.accountName
    deadLetterContainer: storage.outputs.deadLetterContainer
    workspaceId: monitoring.outputs.workspaceId
  }
}

module blue 'modules/function-app.bicep' = if (liveColour != 'blue') {
  name: 'function-app-blue'
  params: {
    colour: 'blue'
    appName: functionAppNames.blue
    location: location
    tags: tags
    identityId: identities.outputs.functionsIdentityId
    identityClientId: identities.outputs.functionsClientId
    storageAccountName: storage.outputs.accountName
    deploymentContainer: storage.outputs.blueDeploymentContainer
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    subnetId: privateNetworking ? network!.outputs.functionsSubnetId : ''
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyBlob: alwaysReadyBlob
    alwaysReadyHttp: alwaysReadyHttp
    modelVersion: modelVersion
    mode: mode
    maxRequestBytes: maxRequestBytes
    maxRequestDurationS: maxRequestDurationS
    maxUploadBytes: maxUploadBytes
    maxDurationS: maxDurationS
    uploadUrlTtlS: uploadUrlTtlS
    uploadRetentionDays: uploadRetentionDays
    allowedOrigins: allowedOrigins
  }
}

module green 'modules/function-app.bicep' = if (liveColour != 'green') {
  name: 'function-app-green'
  params: {
    colour: 'green'
    appName: functionAppNames.green
    location: location
    tags: tags
    identityId: identities.outputs.functionsIdentityId
    identityClientId: identities.outputs.functionsClientId
    storageAccountName: storage.outputs.accountName
    deploymentContainer: storage.outputs.greenDeploymentContainer
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    subnetId: privateNetworking ? network!.outputs.functionsSubnetId : ''
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyBlob: alwaysReadyBlob
    alwaysReadyHttp: alwaysReadyHttp
    modelVersion: modelVersion
    mode: mode
    maxRequestBytes: maxRequestBytes
    maxRequestDurationS: maxRequestDurationS
    maxUploadBytes: maxUploadBytes
    maxDurationS: maxDurationS
    uploadUrlTtlS: uploadUrlTtlS
    uploadRetentionDays: uploadRetentionDays
    allowedOrigins: allowedOrigins
  }
}

module web 'modules/web-app.bicep' = {
  name: 'web-app'
  params: {
    appName: 'app-tonearm-${environmentName}-${suffix}'
    location: location
    tags: tags
    identityId: identities.outputs.webIdentityId
    nothingLive: liveColour == 'none'
    apiUrl: liveColour == 'blue' ? green!.outputs.appUrl : blue!.outputs.appUrl
    apiKeySecretUri: '${vault.outputs.vaultUri}secrets/function-key-${idleColour}'
    resultWaitS: resultWaitS
    hostNames: webHostNames
    minimumInstances: webMinimumInstances
    maximumInstances: webMaximumInstances
    subnetId: privateNetworking ? network!.outputs.webSubnetId : ''
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    actionGroupId: monitoring.outputs.actionGroupId
    storageAccountName: storage.outputs.accountName
    topicName: topic.outputs.topicName
    webAppName: web.outputs.appName
    latencyLimitMs: latencyLimitMs
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0) {
  name: 'budget'
  params: {
    environmentName: environmentName
    amount: monthlyBudget
    startDate: firstBudgetStart
    actionGroupId: monitoring.outputs.actionGroupId
  }
}

// A live app is none of this deployment's resources.
resource blueApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppNames.blue
}

resource greenApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppNames.green
}

@description('Name of each function app, by colour.')
output functionAppNames object = functionAppNames

@description('Address of each function app, by colour.')
output functionAppUrls object = {
  blue: 'https://${blueApp.properties.defaultHostName}'
  green: 'https://${greenApp.properties.defaultHostName}'
}

@description('Name of the web app; its slot is called staging.')
output webAppName string = web.outputs.appName

@description('Address of the web page.')
output webAppUrl string = web.outputs.appUrl

@description('Address of the staging slot.')
output webAppStagingUrl string = web.outputs.stagingUrl

@description('Name of the storage account.')
output storageAccountName string = storage.outputs.accountName

@description('Name of the key vault.')
output vaultName string = vault.outputs.vaultName

@description('Name of the Event Grid system topic.')
output systemTopicName string = topic.outputs.topicName

@description('Address of the image registry, empty without one.')
output registryServer string = containerRegistry ? registry!.outputs.loginServer : ''
