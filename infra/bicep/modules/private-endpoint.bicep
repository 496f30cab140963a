// One private endpoint, and the DNS zone that resolves the service's usual name to it.

@description('Name of the endpoint.')
param endpointName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the network where the name resolves to the endpoint.')
param networkId string

@description('Resource id of the subnet that the endpoint is in.')
param subnetId string

@description('Resource id of the service to reach.')
param targetId string

@description('Which of the service\'s doors.')
@allowed([
  'blob'
  'queue'
  'table'
  'vault'
])
param groupId string

@description('Name of the private DNS zone that the service\'s public name is an alias into.')
param zoneName string

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: endpointName
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: zoneName
  location: 'global'
  tags: tags
}

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: zone
  name: 'tonearm'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: networkId
    }
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: {
          privateDnsZoneId: zone.id
        }
      }
    ]
  }
}

@description('Resource id of the endpoint.')
output endpointId string = endpoint.id
