// The roles of the apps' identities, each at one resource. The event topic's role is in event-topic.bicep, the
// registry's in registry.bicep.
import { roleIds } from 'shared.bicep'

@description('Name of the storage account of people\'s data.')
param storageAccountName string

@description('Name of the storage account of the host\'s state and of packages.')
param hostAccountName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Name of the vault.')
param vaultName string

@description('Name of the function apps\' identity.')
param functionsIdentityName string

@description('Name of the web app\'s identity.')
param webIdentityName string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource host 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostAccountName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource functionsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: functionsIdentityName
}

resource webIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: webIdentityName
}

// At the account: the host names its containers, queues and tables itself. Packages are read with this identity too.
resource functionsHost 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for roleId in [
  roleIds.storageBlobDataOwner
  roleIds.storageQueueDataContributor
  roleIds.storageTableDataContributor
]: {
  scope: host
  name: guid(host.id, functionsIdentity.id, roleId)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
    principalId: functionsIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}]

// At the account: signing keys belong to it, and the blob trigger makes its poison queue itself.
resource functionsData 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for roleId in [
  roleIds.storageBlobDataOwner
  roleIds.storageQueueDataContributor
]: {
  scope: account
  name: guid(account.id, functionsIdentity.id, roleId)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
    principalId: functionsIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}]

resource functionsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: applicationInsights
  name: guid(applicationInsights.id, functionsIdentity.id, roleIds.monitoringMetricsPublisher)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.monitoringMetricsPublisher)
    principalId: functionsIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

// The web app gets no role on storage: it uploads by signed URL.
resource webSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, webIdentity.id, roleIds.keyVaultSecretsUser)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.keyVaultSecretsUser)
    principalId: webIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}
