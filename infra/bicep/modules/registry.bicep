// A registry for the container images, for running them elsewhere. This deployment runs from packages.

@description('Name of the registry.')
@minLength(5)
@maxLength(50)
param registryName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Who may pull images, by principal id.')
param pullerPrincipalIds array

// AcrPull: pull only.
var acrPull = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '7f951dda-4ed3-4680-a7ca-43fe172d538d')

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  // checkov:skip=CKV_AZURE_139:Private access takes the Premium tier; pulling takes an identity with AcrPull
  // checkov:skip=CKV_AZURE_163:Scanning is a subscription-wide plan of Defender, not this registry's to switch on
  // checkov:skip=CKV_AZURE_166:Quarantine takes the Premium tier
  // checkov:skip=CKV_AZURE_233:Zone redundancy takes the Premium tier, and nothing served runs from here
  name: registryName
  location: location
  tags: tags
  sku: {
    name: 'Basic'
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
  }
}

resource pullers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for principalId in pullerPrincipalIds: {
  scope: registry
  name: guid(registry.id, principalId, acrPull)
  properties: {
    roleDefinitionId: acrPull
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}]

@description('Address that images are pushed to and pulled from.')
output loginServer string = registry.properties.loginServer
