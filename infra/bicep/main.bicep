// Everything except what needs running code (events.bicep, modules/function-key.bicep) or an Owner (owner.bicep). Deployed
// to one resource group per environment: at first, and for each release.
targetScope = 'resourceGroup'

import { resourceTags } from 'modules/shared.bicep'

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
param liveColour string = any(resourceGroup().?tags.?tonearmLiveColour ?? 'none')

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

@description('How many instances each function app may grow to. It bounds what a flood of uploads can cost; docs/deploy.md.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 4

@description('Instances of each colour that always wait for uploads. Without one the listener never starts.')
@minValue(1)
@maxValue(20)
param alwaysReadyBlob int = 1

@description('Instances of each colour that always wait for HTTP requests. 0: the first caller waits for a start.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 1

@description('Days after which an upload is deleted.')
@minValue(1)
@maxValue(365)
param uploadRetentionDays int = 7

@description('Days after which results and feedback are deleted. 0: they stay until somebody deletes them.')
@minValue(0)
@maxValue(3650)
param resultRetentionDays int = 0

@description('Whether blobs can be set back to a time in the last 6 days. What is deleted is then gone after 14 days, not 7.')
param pointInTimeRestore bool = environmentName == 'prod'

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
param allowedOrigins string[] = []

@description('How long the web page waits for a result before it offers to go on waiting, in seconds.')
@minValue(1)
param resultWaitS int = 600

@description('Names of the web page of your own, such as music.example. It answers to no others.')
param webHostNames string[] = []

@description('Whether visitors of the page sign in with Entra ID. Without it anybody may use the page. A release sets the slot\'s: docs/deploy.md.')
param webSignIn bool = true

@description('Client id of the app registration by which they sign in; docs/deploy.md says how it is made.')
@maxLength(36)
param webClientId string = ''

@description('The tenant whose people may sign in.')
@minLength(36)
@maxLength(36)
param webAuthTenantId string = tenant().tenantId

@description('Whose uploads a visitor sees: his own, or all.')
@allowed([
  'own'
  'shared'
])
param webHistory string = 'own'

@description('Fewest instances of the web page.')
@minValue(1)
@maxValue(10)
param webMinimumInstances int = 1

@description('Most instances of the web page.')
@minValue(1)
@maxValue(10)
param webMaximumInstances int = 3

@description('Who gets alerts by mail. prod demands it; in dev alerts show in the portal if it is empty.')
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

@description('Who answers for these resources, as the tag owner. Empty: no such tag.')
param owner string = ''

@description('Who pays for them, as the tag cost-centre. Empty: no such tag.')
param costCentre string = ''

@description('Whether to have a registry for the container images.')
param containerRegistry bool = false

type byColour = {
  blue: string
  green: string
}

// Unique in Azure, and fixed for this group.
var suffix = take(uniqueString(resourceGroup().id), 6)

// The colour that this release is for.
var idleColour = liveColour == 'blue' ? 'green' : 'blue'

// Names are made here, not read from modules' outputs: then `what-if` knows them and looks into every module.
var storageAccountName = 'sttonearm${environmentName}${suffix}'
var hostAccountName = 'sthost${environmentName}${suffix}'
var vaultName = 'kv-tonearm-${environmentName}-${suffix}'
var topicName = 'evgt-tonearm-${environmentName}-${suffix}'
var blueName = 'func-tonearm-${environmentName}-blue-${suffix}'
var greenName = 'func-tonearm-${environmentName}-green-${suffix}'
var webName = 'app-tonearm-${environmentName}-${suffix}'
var applicationInsightsName = 'appi-tonearm-${environmentName}'
var workspaceName = 'log-tonearm-${environmentName}'
var actionGroupName = 'ag-tonearm-${environmentName}'
var networkName = 'vnet-tonearm-${environmentName}'
var subnetType = 'Microsoft.Network/virtualNetworks/subnets'
var workspaceId = resourceId('Microsoft.OperationalInsights/workspaces', workspaceName)
var actionGroupId = resourceId('Microsoft.Insights/actionGroups', actionGroupName)
var functionsIdentityName = 'id-tonearm-${environmentName}-functions'
var webIdentityName = 'id-tonearm-${environmentName}-web'
var deadLetterContainer = 'event-dead-letters'

// What is missing ends the deployment before it changes anything.
var checkedAlertEmail = contains(alertEmail, '@') || (environmentName != 'prod' && empty(alertEmail))
  ? alertEmail
  : fail('alertEmail must be a mail address: in prod somebody must get the alerts.')
var checkedClientId = webSignIn && length(webClientId) != 36
  ? fail('webClientId must be an app registration\'s client id. Without sign-in anybody may use the page: webSignIn=false.')
  : webClientId

var tags resourceTags = {
  system: 'tonearm'
  environment: environmentName
  ...(empty(owner) ? {} : { owner: owner })
  ...(empty(costCentre) ? {} : { 'cost-centre': costCentre })
}

// A budget's start cannot be changed, and must be in the current month when the budget is made. So the group has a tag
// with the month of the first deployment.
var firstBudgetStart = resourceGroup().?tags.?tonearmBudgetStart ?? budgetStart

// infra/deploy keeps tags of its own there, such as the live colour.
resource groupTags 'Microsoft.Resources/tags@2025-04-01' = {
  name: 'default'
  properties: {
    tags: union(resourceGroup().?tags ?? {}, tags, {
      tonearmBudgetStart: firstBudgetStart
    })
  }
}

module identities 'modules/identities.bicep' = {
  params: {
    location: location
    tags: tags
    functionsIdentityName: functionsIdentityName
    webIdentityName: webIdentityName
  }
}

// Azure reads what is declared as existing at once, unless it depends on the module that makes it.
resource blueApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: blueName
  dependsOn: [
    blue
  ]
}

resource greenApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: greenName
  dependsOn: [
    green
  ]
}

resource webApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: webName
  dependsOn: [
    web
  ]

  resource slot 'slots' existing = {
    name: 'staging'
    dependsOn: [
      web
    ]
  }
}

resource keyVault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
  dependsOn: [
    vault
  ]
}

var urls = {
  blue: 'https://${blueApp.properties.defaultHostName}'
  green: 'https://${greenApp.properties.defaultHostName}'
}

resource functionsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: functionsIdentityName
  dependsOn: [
    identities
  ]
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    location: location
    tags: tags
    workspaceName: workspaceName
    applicationInsightsName: applicationInsightsName
    actionGroupName: actionGroupName
    retentionDays: logRetentionDays
    dailyCapGB: logDailyCapGB
    alertEmail: checkedAlertEmail
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    accountName: storageAccountName
    location: location
    tags: tags
    sku: storageSku
    uploadRetentionDays: uploadRetentionDays
    resultRetentionDays: resultRetentionDays
    deadLetterContainer: deadLetterContainer
    pointInTimeRestore: pointInTimeRestore
    privateNetworking: privateNetworking
  }
}

module hostStorage 'modules/host-storage.bicep' = {
  params: {
    accountName: hostAccountName
    location: location
    tags: tags
    sku: storageSku == 'Standard_GZRS' ? 'Standard_ZRS' : storageSku
    containerNames: [
      'deployments-blue'
      'deployments-green'
    ]
    privateNetworking: privateNetworking
  }
}

module vault 'modules/vault.bicep' = {
  params: {
    vaultName: vaultName
    location: location
    tags: tags
    workspaceId: workspaceId
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
  }
  dependsOn: [
    monitoring
  ]
}

module network 'modules/network.bicep' = if (privateNetworking) {
  params: {
    environmentName: environmentName
    networkName: networkName
    location: location
    tags: tags
    storageAccountName: storageAccountName
    hostAccountName: hostAccountName
    vaultName: vaultName
  }
  dependsOn: [
    storage
    hostStorage
    vault
  ]
}

module registry 'modules/registry.bicep' = if (containerRegistry) {
  params: {
    registryName: 'crtonearm${environmentName}${suffix}'
    location: location
    tags: tags
    pullerIdentityNames: [
      functionsIdentityName
      webIdentityName
    ]
  }
  dependsOn: [
    identities
  ]
}

module roles 'modules/roles.bicep' = {
  params: {
    storageAccountName: storageAccountName
    hostAccountName: hostAccountName
    applicationInsightsName: applicationInsightsName
    vaultName: vaultName
    functionsIdentityName: functionsIdentityName
    webIdentityName: webIdentityName
  }
  dependsOn: [
    identities
    storage
    hostStorage
    monitoring
    vault
  ]
}

module topic 'modules/event-topic.bicep' = {
  params: {
    topicName: topicName
    location: location
    tags: tags
    storageAccountName: storageAccountName
    deadLetterContainer: deadLetterContainer
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
    storage
  ]
}

module blue 'modules/function-app.bicep' = if (liveColour != 'blue') {
  params: {
    colour: 'blue'
    appName: blueName
    location: location
    tags: tags
    identityId: resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', functionsIdentityName)
    identityClientId: functionsIdentity.properties.clientId
    storageAccountName: storageAccountName
    hostAccountName: hostAccountName
    deploymentContainer: 'deployments-blue'
    applicationInsightsName: applicationInsightsName
    subnetId: privateNetworking ? resourceId(subnetType, networkName, 'functions') : ''
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
    resultRetentionDays: resultRetentionDays
    allowedOrigins: allowedOrigins
  }
  dependsOn: [
    roles // and so both accounts and logs
    network
  ]
}

module green 'modules/function-app.bicep' = if (liveColour != 'green') {
  params: {
    colour: 'green'
    appName: greenName
    location: location
    tags: tags
    identityId: resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', functionsIdentityName)
    identityClientId: functionsIdentity.properties.clientId
    storageAccountName: storageAccountName
    hostAccountName: hostAccountName
    deploymentContainer: 'deployments-green'
    applicationInsightsName: applicationInsightsName
    subnetId: privateNetworking ? resourceId(subnetType, networkName, 'functions') : ''
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
    resultRetentionDays: resultRetentionDays
    allowedOrigins: allowedOrigins
  }
  dependsOn: [
    roles // and so both accounts and logs
    network
  ]
}

module web 'modules/web-app.bicep' = {
  params: {
    appName: webName
    location: location
    tags: tags
    identityName: webIdentityName
    nothingLive: liveColour == 'none'
    apiUrl: urls[idleColour]
    apiKeySecretUri: '${keyVault.properties.vaultUri}secrets/function-key-${idleColour}'
    resultWaitS: resultWaitS
    hostNames: webHostNames
    signIn: webSignIn
    clientId: checkedClientId
    tenantId: webAuthTenantId
    history: webHistory
    minimumInstances: webMinimumInstances
    maximumInstances: webMaximumInstances
    subnetId: privateNetworking ? resourceId(subnetType, networkName, 'web') : ''
    workspaceId: workspaceId
  }
  dependsOn: [
    roles
    network
    blue
    green
  ]
}

module alerts 'modules/alerts.bicep' = {
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    workspaceId: workspaceId
    actionGroupId: actionGroupId
    hostAccountName: hostAccountName
    topicName: topicName
    webAppName: webName
    latencyLimitMs: latencyLimitMs
  }
  dependsOn: [
    monitoring
    hostStorage
    topic
    web
  ]
}

module availability 'modules/availability.bicep' = {
  params: {
    testName: 'available-tonearm-${environmentName}-web'
    title: 'The web page does not answer.'
    location: location
    tags: tags
    url: 'https://${webApp.properties.defaultHostName}/_stcore/health'
    applicationInsightsName: applicationInsightsName
    actionGroupName: actionGroupName
  }
  dependsOn: [
    monitoring
    web
  ]
}

module workbook 'modules/workbook.bicep' = {
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0) {
  params: {
    environmentName: environmentName
    amount: max(monthlyBudget, 1)
    startDate: firstBudgetStart
    actionGroupId: actionGroupId
  }
  dependsOn: [
    monitoring
  ]
}

@description('Name of each function app, by colour.')
output functionAppNames byColour = {
  blue: blueName
  green: greenName
}

@description('Address of each function app, by colour.')
output functionAppUrls byColour = {
  blue: urls.blue
  green: urls.green
}

@description('Name of the web app; its slot is called staging.')
output webAppName string = webName

@description('Address of the web page.')
output webAppUrl string = 'https://${webApp.properties.defaultHostName}'

@description('Address of the staging slot.')
output webAppStagingUrl string = 'https://${webApp::slot.properties.defaultHostName}'

@description('Name of the storage account.')
output storageAccountName string = storageAccountName

@description('Name of the key vault.')
output vaultName string = vaultName

@description('Name of the Event Grid system topic.')
output systemTopicName string = topicName

@description('Address of the image registry, empty without one.')
output registryServer string = containerRegistry ? registry!.outputs.loginServer : ''
