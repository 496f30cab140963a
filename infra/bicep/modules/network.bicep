// Private networking: a network for the apps, with private endpoints to storage and vault.

@description('Which environment this is.')
param environmentName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the storage account to reach.')
param storageAccountName string

@description('Name of the vault to reach.')
param vaultName string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

// Subnets are referenced by name: Azure may list them in another order.
var subnetType = 'Microsoft.Network/virtualNetworks/subnets'
var networkName = 'vnet-tonearm-${environmentName}'

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: networkName
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.20.0.0/24'
      ]
    }
    // Declared inside the network: subnets declared apart are deleted and recreated by each deployment.
    subnets: [
      {
        // Both colours' instances: 123 addresses.
        name: 'functions'
        properties: {
          addressPrefix: '10.20.0.0/25'
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'web'
        properties: {
          addressPrefix: '10.20.0.128/27'
          delegations: [
            {
              name: 'app-service'
              properties: {
                serviceName: 'Microsoft.Web/serverFarms'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.20.0.160/27'
        }
      }
    ]
  }
}

module blob 'private-endpoint.bicep' = {
  name: 'private-endpoint-blob'
  params: {
    endpointName: 'pe-tonearm-${environmentName}-blob'
    location: location
    tags: tags
    networkId: network.id
    subnetId: resourceId(subnetType, network.name, 'endpoints')
    targetId: account.id
    groupId: 'blob'
    zoneName: 'privatelink.blob.${environment().suffixes.storage}'
  }
}

module queue 'private-endpoint.bicep' = {
  name: 'private-endpoint-queue'
  params: {
    endpointName: 'pe-tonearm-${environmentName}-queue'
    location: location
    tags: tags
    networkId: network.id
    subnetId: resourceId(subnetType, network.name, 'endpoints')
    targetId: account.id
    groupId: 'queue'
    zoneName: 'privatelink.queue.${environment().suffixes.storage}'
  }
}

module table 'private-endpoint.bicep' = {
  name: 'private-endpoint-table'
  params: {
    endpointName: 'pe-tonearm-${environmentName}-table'
    location: location
    tags: tags
    networkId: network.id
    subnetId: resourceId(subnetType, network.name, 'endpoints')
    targetId: account.id
    groupId: 'table'
    zoneName: 'privatelink.table.${environment().suffixes.storage}'
  }
}

module secrets 'private-endpoint.bicep' = {
  name: 'private-endpoint-vault'
  params: {
    endpointName: 'pe-tonearm-${environmentName}-vault'
    location: location
    tags: tags
    networkId: network.id
    subnetId: resourceId(subnetType, network.name, 'endpoints')
    targetId: vault.id
    groupId: 'vault'
    zoneName: 'privatelink.vaultcore.azure.net'
  }
}

@description('Resource id of the function apps\' subnet.')
output functionsSubnetId string = resourceId(subnetType, network.name, 'functions')

@description('Resource id of the web app\'s subnet.')
output webSubnetId string = resourceId(subnetType, network.name, 'web')
