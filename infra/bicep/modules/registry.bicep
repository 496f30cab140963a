// A registry for the container images, for running them elsewhere. This deployment runs from packages.
import { resourceTags, roleIds } from 'shared.bicep'

@description('Name of the registry.')
@minLength(5)
@maxLength(50)
param registryName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Names of the identities that may pull images.')
param pullerIdentityNames string[]

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
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

resource pullers 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = [for name in pullerIdentityNames: {
  name: name
}]

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (name, index) in pullerIdentityNames: {
  scope: registry
  name: guid(registry.id, name, roleIds.acrPull)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.acrPull)
    principalId: pullers[index].properties.principalId
    principalType: 'ServicePrincipal'
  }
}]

@description('Address that images are pushed to and pulled from.')
output loginServer string = registry.properties.loginServer
