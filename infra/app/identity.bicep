// As whom the app calls storage, the vault, Application Insights and, federated, Microsoft Graph. User-assigned, so that
// its roles and its federated credential exist before the site does, and outlive a site that is made again.
param name string
param location string
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

output id string = identity.id
output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
