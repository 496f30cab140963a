// One colour of the function app, on its own Flex Consumption plan: such a plan takes one app, and no slots.
import { resourceTags } from 'shared.bicep'

@description('Which of the two this is.')
@allowed([
  'blue'
  'green'
])
param colour string

@description('Name of the app. The host goes by its first 32 characters, which must differ between the colours.')
@minLength(2)
@maxLength(32)
param appName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Resource id of the app\'s identity.')
param identityId string

@description('Client id of that identity.')
param identityClientId string

@description('Name of the storage account of people\'s data.')
param storageAccountName string

@description('Name of the storage account of the host\'s state and of packages.')
param hostAccountName string

@description('Container that the app\'s package is deployed to.')
param deploymentContainer string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Resource id of the subnet by which the app reaches others. Empty: none.')
param subnetId string

@description('Memory of an instance, in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int

@description('How many instances there may be.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('Instances that always wait for uploads. Without one the listener never starts.')
@minValue(1)
param alwaysReadyBlob int

@description('Instances that always wait for HTTP requests.')
@minValue(0)
param alwaysReadyHttp int

@description('Model version to serve. Empty: the package\'s default.')
param modelVersion string

@description('How many tiles of a recording VGG19 looks at.')
@allowed([
  'accurate'
  'fast'
])
param mode string

@description('Largest body of POST /api/classify, in bytes.')
param maxRequestBytes int

@description('Longest recording of POST /api/classify, in seconds.')
param maxRequestDurationS int

@description('Largest upload, in bytes.')
param maxUploadBytes int

@description('Longest recording that is uploaded, in seconds.')
param maxDurationS int

@description('How long a signed URL to an upload can be used, in seconds.')
param uploadUrlTtlS int

@description('Days after which an upload is deleted; GET /api/limits reports them.')
param uploadRetentionDays int

@description('Days after which results and feedback are deleted. 0: never.')
param resultRetentionDays int

@description('Origins of web pages that may call the API from a browser.')
param allowedOrigins string[]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource host 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostAccountName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${appName}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: appName
  location: location
  tags: union(tags, {
    colour: colour
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    // No siteUpdateStrategy: this is the idle app, and a rolling update never says when the old code is gone.
    // https://learn.microsoft.com/azure/azure-functions/flex-consumption-site-updates
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${host.properties.primaryEndpoints.blob}${deploymentContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        // Of both colours alike, so that a switch changes no app. The idle one's webhook and key exist before the
        // switch, and it processes what was queued before the last one.
        alwaysReady: concat([
          {
            name: 'blob'
            instanceCount: alwaysReadyBlob
          }
        ], alwaysReadyHttp == 0 ? [] : [
          {
            name: 'http'
            instanceCount: alwaysReadyHttp
          }
        ])
        triggers: {
          http: {
            // One core at 2,048 MB, two at 4,096. A classification uses a whole core; four requests per core, because
            // bodies take time to arrive. Not measured on Azure.
            perInstanceConcurrency: instanceMemoryMB >= 4096 ? 8 : 4
          }
        }
      }
    }
    // No ftpsState, which Flex Consumption refuses, and nothing else that it does not have; docs/deploy.md.
    siteConfig: {
      http20Enabled: true
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      cors: {
        allowedOrigins: allowedOrigins
      }
    }
  }
}

// Identities instead of keys. Flex Consumption takes runtime, version, package and build settings from
// functionAppConfig and refuses them here.
resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__blobServiceUri: host.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: host.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: host.properties.primaryEndpoints.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    // The triggers' connection, and the code's.
    TonearmData__blobServiceUri: account.properties.primaryEndpoints.blob
    TonearmData__queueServiceUri: account.properties.primaryEndpoints.queue
    TonearmData__credential: 'managedidentity'
    TonearmData__clientId: identityClientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    TONEARM_BLOB_SOURCE: 'EventGrid'
    TONEARM_MODEL: modelVersion
    TONEARM_MODE: mode
    TONEARM_MAX_REQUEST_BYTES: string(maxRequestBytes)
    TONEARM_MAX_REQUEST_DURATION_S: string(maxRequestDurationS)
    TONEARM_MAX_UPLOAD_BYTES: string(maxUploadBytes)
    TONEARM_MAX_DURATION_S: string(maxDurationS)
    TONEARM_UPLOAD_URL_TTL_S: string(uploadUrlTtlS)
    TONEARM_UPLOAD_RETENTION_DAYS: string(uploadRetentionDays)
    TONEARM_RESULT_RETENTION_DAYS: string(resultRetentionDays)
    TONEARM_ALLOWED_ORIGINS: join(allowedOrigins, ',')
  }
}

// Packages are published with a token, not a password. There is no FTP to close.
resource scmPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}
