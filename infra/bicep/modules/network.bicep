// Private networking: a network for the apps, with private endpoints to storage and vault.
import { resourceTags } from 'shared.bicep'

@description('Which environment this is.')
param environmentName string

@description('Name of the network.')
param networkName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Name of the storage account of people\'s data.')
param storageAccountName string

@description('Name of the storage account of the host.')
param hostAccountName string

@description('Name of the vault.')
param vaultName string

// Subnets are referenced by name: Azure may list them in another order.
var subnetType = 'Microsoft.Network/virtualNetworks/subnets'

// The zones that the services' public names are aliases into.
var zoneNames = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.vaultcore.azure.net'
]
var storageType = 'Microsoft.Storage/storageAccounts'
var endpoints = [
  { name: 'blob', group: 'blob', type: storageType, target: storageAccountName, zone: 0 }
  { name: 'queue', group: 'queue', type: storageType, target: storageAccountName, zone: 1 }
  { name: 'vault', group: 'vault', type: 'Microsoft.KeyVault/vaults', target: vaultName, zone: 3 }
  { name: 'host-blob', group: 'blob', type: storageType, target: hostAccountName, zone: 0 }
  { name: 'host-queue', group: 'queue', type: storageType, target: hostAccountName, zone: 1 }
  { name: 'host-table', group: 'table', type: storageType, target: hostAccountName, zone: 2 }
]

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

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for zoneName in zoneNames: {
  name: zoneName
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (zoneName, index) in zoneNames: {
  parent: zones[index]
  name: 'tonearm'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [for endpoint in endpoints: {
  name: 'pe-tonearm-${environmentName}-${endpoint.name}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: resourceId(subnetType, network.name, 'endpoints')
    }
    privateLinkServiceConnections: [
      {
        name: endpoint.name
        properties: {
          privateLinkServiceId: resourceId(endpoint.type, endpoint.target)
          groupIds: [
            endpoint.group
          ]
        }
      }
    ]
  }
}]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [for (endpoint, index) in endpoints: {
  parent: privateEndpoints[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: endpoint.group
        properties: {
          privateDnsZoneId: zones[endpoint.zone].id
        }
      }
    ]
  }
}]
