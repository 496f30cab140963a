// The storage account: uploads, results, feedback, the Functions host's state, and the deployed packages.

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Redundancy of the stored data.')
param sku string

@description('Days after which an upload is deleted.')
@minValue(1)
param uploadRetentionDays int

@description('Whether the account is reachable by private endpoints only.')
param privateNetworking bool

// One per colour for the packages: a deployment writes released-package.zip and must not overwrite the other's.
var blueDeploymentContainer = 'deployments-blue'
var greenDeploymentContainer = 'deployments-green'
var deadLetterContainer = 'event-dead-letters'
var containerNames = [
  'uploads'
  'results'
  'feedback'
  'keys'
  'models'
  blueDeploymentContainer
  greenDeploymentContainer
  deadLetterContainer
]

// Deleted recordings can be restored for a week, and are gone after it.
var softDeleteDays = 7
var deadLetterRetentionDays = 30

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  // checkov:skip=CKV_AZURE_43:main.bicep makes the name, of lower-case letters and digits, 18 or 19 of them
  // checkov:skip=CKV_AZURE_35:Uploaders put files here by signed URL from anywhere; privateNetworking denies it
  // checkov:skip=CKV_AZURE_59:Uploaders put files here by signed URL from anywhere; privateNetworking denies it
  // checkov:skip=CKV_AZURE_206:How many copies are worth their price is the parameter storageSku; prod keeps them over three zones
  name: accountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
    networkAcls: {
      // Event Grid writes its dead letters as a trusted service.
      bypass: 'AzureServices'
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [for containerName in containerNames: {
  parent: blobService
  name: containerName
  properties: {
    publicAccess: 'None'
  }
}]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

// The host makes it at the first poison message. Made here, the listener finds it from the start.
resource poisonQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queueService
  name: 'webjobs-blobtrigger-poison'
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-uploads'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              // An upload URL can also create empty append blobs, and snapshots, which keep their blob from being deleted.
              blobTypes: [
                'blockBlob'
                'appendBlob'
              ]
              prefixMatch: [
                'uploads/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: uploadRetentionDays
                }
              }
              snapshot: {
                delete: {
                  daysAfterCreationGreaterThan: uploadRetentionDays
                }
              }
            }
          }
        }
        {
          name: 'delete-dead-letters'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                '${deadLetterContainer}/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: deadLetterRetentionDays
                }
              }
            }
          }
        }
      ]
    }
  }
  dependsOn: [
    containers
  ]
}

@description('Name of the account.')
output accountName string = account.name

@description('Container of the blue app\'s package.')
output blueDeploymentContainer string = blueDeploymentContainer

@description('Container of the green app\'s package.')
output greenDeploymentContainer string = greenDeploymentContainer

@description('Container of events that could not be delivered.')
output deadLetterContainer string = deadLetterContainer
