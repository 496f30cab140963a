// The roles of the apps' identities, each at one resource. The event topic's role is in event-topic.bicep, the
// registry's in registry.bicep.

@description('Name of the storage account.')
param storageAccountName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Name of the vault.')
param vaultName string

@description('The function apps\' identity, by principal id.')
param functionsPrincipalId string

@description('The web app\'s identity, by principal id.')
param webPrincipalId string

// Storage Blob Data Owner: the Functions host requires it on its storage, where it makes containers for locks and keys.
// It covers what the code needs: uploads, results, feedback, and the key that signs URLs.
var storageBlobDataOwner = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b')

// Storage Queue Data Contributor: the host queues each upload's event, and poison messages.
var storageQueueDataContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '974c5e8b-45b9-4653-ba55-5f855dd0fb88')

// Storage Table Data Contributor: the host writes its diagnostic events to a table.
var storageTableDataContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3')

// Monitoring Metrics Publisher: send telemetry, read none.
var monitoringMetricsPublisher = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '3913510d-42f4-4e42-8a64-420c390055eb')

// Key Vault Secrets User: read secrets. The vault holds the two function keys and nothing else.
var keyVaultSecretsUser = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

// At the account: the host makes its own containers, and signing keys belong to the account.
resource functionsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, functionsPrincipalId, storageBlobDataOwner)
  properties: {
    roleDefinitionId: storageBlobDataOwner
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// At the account: the host names its queues itself.
resource functionsQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, functionsPrincipalId, storageQueueDataContributor)
  properties: {
    roleDefinitionId: storageQueueDataContributor
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// At the account: the host names its tables itself.
resource functionsTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, functionsPrincipalId, storageTableDataContributor)
  properties: {
    roleDefinitionId: storageTableDataContributor
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource functionsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: applicationInsights
  name: guid(applicationInsights.id, functionsPrincipalId, monitoringMetricsPublisher)
  properties: {
    roleDefinitionId: monitoringMetricsPublisher
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// The web app gets no role on storage: it uploads by signed URL.
resource webSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, webPrincipalId, keyVaultSecretsUser)
  properties: {
    roleDefinitionId: keyVaultSecretsUser
    principalId: webPrincipalId
    principalType: 'ServicePrincipal'
  }
}
