// The apps' identities. They are separate resources, so that roles can be assigned before the apps exist.

@description('Which environment this is.')
param environmentName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

resource functionsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-tonearm-${environmentName}-functions'
  location: location
  tags: tags
}

resource webIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-tonearm-${environmentName}-web'
  location: location
  tags: tags
}

@description('Resource id of the identity of both function apps.')
output functionsIdentityId string = functionsIdentity.id

@description('By which the function apps\' code names its identity.')
output functionsClientId string = functionsIdentity.properties.clientId

@description('By which roles name the function apps\' identity.')
output functionsPrincipalId string = functionsIdentity.properties.principalId

@description('Resource id of the web app\'s identity.')
output webIdentityId string = webIdentity.id

@description('By which roles name the web app\'s identity.')
output webPrincipalId string = webIdentity.properties.principalId
