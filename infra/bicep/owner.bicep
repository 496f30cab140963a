// What only an Owner may deploy, once per environment: what the pipeline may do, and in prod that nobody deletes what
// cannot be made again. docs/deploy.md says when. The pipeline itself may neither widen its roles nor lift a lock.
targetScope = 'resourceGroup'

import { roleIds } from 'modules/shared.bicep'

@description('Which environment this is, as in main.bicep.')
@allowed([
  'dev'
  'prod'
])
param environmentName string

@description('Object id of the service principal that the pipeline signs in as.')
@minLength(36)
@maxLength(36)
param pipelinePrincipalId string

@description('Whether storage and vault cannot be deleted while the lock is there.')
param deleteLock bool = environmentName == 'prod'

// The same names as in main.bicep.
var suffix = take(uniqueString(resourceGroup().id), 6)

// Contributor: every resource, but no role and no lock.
var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c'
// Role Based Access Control Administrator: roles alone; by the condition only those that the Bicep gives to identities.
var accessAdministrator = 'f58310d9-a9f6-439a-9e8d-f62e7b41a168'
var assignable = join(map(items(roleIds), role => role.value), ', ')
var conditions = map([
  { action: 'write', source: '@Request' }
  { action: 'delete', source: '@Resource' }
], each => '((!(ActionMatches{\'Microsoft.Authorization/roleAssignments/${each.action}\'})) OR (${each.source}[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${assignable}} AND ${each.source}[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {\'ServicePrincipal\'}))')

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: 'sttonearm${environmentName}${suffix}'
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: 'kv-tonearm-${environmentName}-${suffix}'
}

resource contributes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, pipelinePrincipalId, contributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor)
    principalId: pipelinePrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource assignsRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, pipelinePrincipalId, accessAdministrator)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', accessAdministrator)
    principalId: pipelinePrincipalId
    principalType: 'ServicePrincipal'
    conditionVersion: '2.0'
    condition: join(conditions, ' AND ')
  }
}

resource accountLock 'Microsoft.Authorization/locks@2020-05-01' = if (deleteLock) {
  scope: account
  name: 'data'
  properties: {
    level: 'CanNotDelete'
    notes: 'People\'s recordings, results and feedback. The lock is on the account, not on blobs: those can be deleted.'
  }
}

resource vaultLock 'Microsoft.Authorization/locks@2020-05-01' = if (deleteLock) {
  scope: vault
  name: 'keys'
  properties: {
    level: 'CanNotDelete'
    notes: 'The web page reads its key here.'
  }
}
