// The storage account of people's data: uploads, results and feedback. The blob trigger has its poison queue here.
import { resourceTags } from 'shared.bicep'

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Redundancy of the stored data.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GZRS'
])
param sku string

@description('Days after which an upload is deleted.')
@minValue(1)
param uploadRetentionDays int

@description('Days after which results and feedback are deleted. 0: never.')
@minValue(0)
param resultRetentionDays int

@description('Container of events that could not be delivered.')
param deadLetterContainer string

@description('Whether all blobs can be set back to a time in the last days. Older versions are then kept as long.')
param pointInTimeRestore bool

@description('Whether the account is reachable by private endpoints only.')
param privateNetworking bool

var containerNames = [
  'uploads'
  'results'
  'feedback'
  'keys'
  'models'
  deadLetterContainer
]

// Deleted recordings can be restored for a week, and are gone after it.
var softDeleteDays = 7
// Azure demands fewer days than those of soft delete.
var restoreDays = 6
var deadLetterRetentionDays = 30

// An upload URL can also create empty append blobs, and snapshots, which keep their blob from being deleted.
var retention = concat([
  { name: 'uploads', days: uploadRetentionDays, blobTypes: ['blockBlob', 'appendBlob'] }
  { name: deadLetterContainer, days: deadLetterRetentionDays, blobTypes: ['blockBlob'] }
], resultRetentionDays == 0 ? [] : [
  { name: 'results', days: resultRetentionDays, blobTypes: ['blockBlob'] }
  { name: 'feedback', days: resultRetentionDays, blobTypes: ['blockBlob'] }
])
var retentionRules = [for each in retention: {
  name: 'delete-${each.name}'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: each.blobTypes
      prefixMatch: [
        '${each.name}/'
      ]
    }
    actions: {
      baseBlob: {
        delete: {
          daysAfterModificationGreaterThan: each.days
        }
      }
      snapshot: {
        delete: {
          daysAfterCreationGreaterThan: each.days
        }
      }
    }
  }
}]
// What was deleted or overwritten stays as a version, which nothing else deletes.
var versionRule = {
  name: 'delete-versions'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: ['blockBlob']
    }
    actions: {
      version: {
        delete: {
          daysAfterCreationGreaterThan: softDeleteDays
        }
      }
    }
  }
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
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
      // Uploaders put files here by signed URL from anywhere.
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
    isVersioningEnabled: pointInTimeRestore
    changeFeed: pointInTimeRestore ? { enabled: true, retentionInDays: softDeleteDays } : { enabled: false }
    restorePolicy: pointInTimeRestore ? { enabled: true, days: restoreDays } : { enabled: false }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [for name in containerNames: {
  parent: blobService
  name: name
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
      rules: pointInTimeRestore ? concat(retentionRules, [versionRule]) : retentionRules
    }
  }
  dependsOn: [
    containers
  ]
}
