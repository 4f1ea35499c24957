// The app registration that subscribes and exports. It has no secret: the managed identity stands in for one. Granting needs
// Privileged Role Administrator in the directory; grant-permissions.sh does the same for whoever may.
extension microsoftGraphV1

@description('Names the registration in the directory, for ever: the same name is the same registration.')
param uniqueName string
param displayName string

@description('Object id of the managed identity that the registration trusts.')
param identityPrincipalId string

@description('Names of Graph application permissions, out of permissions.json.')
param permissions array

var permissionIds = loadJsonContent('permissions.json')
// Each cloud has an audience of its own, and refuses the others'; the app has the same table (shared/core/clouds.py).
var exchangeAudiences = {
  AzureCloud: 'api://AzureADTokenExchange'
  AzureUSGovernment: 'api://AzureADTokenExchangeUSGov'
  AzureChinaCloud: 'api://AzureADTokenExchangeChina'
}
var graphAppId = '00000003-0000-0000-c000-000000000000'

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: graphAppId
}

resource application 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  requiredResourceAccess: [
    {
      resourceAppId: graphAppId
      resourceAccess: [for permission in permissions: { id: permissionIds[permission], type: 'Role' }]
    }
  ]

  resource managedIdentity 'federatedIdentityCredentials' = {
    name: '${application.uniqueName}/managed-identity'
    description: 'The managed identity of the function app'
    audiences: [exchangeAudiences[environment().name]]
    issuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
    subject: identityPrincipalId
  }
}

resource principal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: application.appId
  // Were it true, Graph's change tracking would need an assignment, and without one posts come without validation tokens:
  // https://learn.microsoft.com/graph/change-notifications-with-resource-data#validation-tokens-in-the-change-notification
  appRoleAssignmentRequired: false
}

resource grant 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [for permission in permissions: {
  appRoleId: permissionIds[permission]
  principalId: principal.id
  resourceId: graph.id
}]

output clientId string = application.appId
