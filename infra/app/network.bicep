// A network for the app's calls to storage and the vault, so that these need no public address. Graph, Entra ID and
// Azure Monitor stay on the internet: the app's subnet must reach them, by itself or through a NAT gateway.
param name string
param location string
param tags object

param addressPrefix string

@description('For the app alone, /27 or larger.')
param appPrefix string

@description('For the private endpoints: four addresses.')
param endpointPrefix string

@description('Resource id of a NAT gateway or empty for Azure\'s default way out.')
param natGatewayId string

var zoneNames = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  // Each cloud has a suffix of its own, after this word: .vault.azure.net becomes privatelink.vaultcore.azure.net
  'privatelink.${replace(substring(environment().suffixes.keyvaultDns, 1), 'vault.', 'vaultcore.')}'
]

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-07-01' = {
  name: '${name}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'app-calls-endpoints'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: appPrefix
          sourcePortRange: '*'
          destinationAddressPrefix: endpointPrefix
          destinationPortRange: '443'
        }
      }
      {
        name: 'nothing-from-the-internet'
        properties: {
          priority: 4000
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        // Flex Consumption refuses names with an underscore.
        name: 'app'
        properties: {
          addressPrefix: appPrefix
          delegations: [{ name: 'app', properties: { serviceName: 'Microsoft.App/environments' } }]
          defaultOutboundAccess: empty(natGatewayId)
          natGateway: empty(natGatewayId) ? null : { id: natGatewayId }
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointPrefix
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
          networkSecurityGroup: { id: endpointRules.id }
          defaultOutboundAccess: false
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for zoneName in zoneNames: {
  name: zoneName
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (zoneName, index) in zoneNames: {
  parent: zone[index]
  name: name
  location: 'global'
  tags: tags
  properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
}]

output appSubnetId string = network.properties.subnets[0].id
output endpointSubnetId string = network.properties.subnets[1].id
output blobZoneId string = zone[0].id
output queueZoneId string = zone[1].id
output vaultZoneId string = zone[2].id
