// The apps' identities. They are separate resources, so that roles can be assigned before the apps exist.
import { resourceTags } from 'shared.bicep'

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Name of the identity of both function apps.')
param functionsIdentityName string

@description('Name of the web app\'s identity.')
param webIdentityName string

resource functionsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: functionsIdentityName
  location: location
  tags: tags
}

resource webIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: webIdentityName
  location: location
  tags: tags
}
