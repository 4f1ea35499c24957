// What the app may do where interactions come to rest: look and add. No built-in role writes without deleting.
// Making a role definition takes Owner or User Access Administrator, as every role assignment of this deployment nearly does.
param name string

var blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, name)
  properties: {
    roleName: name
    description: 'Adds blobs and reads them; deletes none.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: ['Microsoft.Storage/storageAccounts/blobServices/containers/read']
        notActions: []
        // add/action alone would do for new names. But a write under a name that exists is how the app learns of a duplicate,
        // and it must hear "exists already" then, not "forbidden". Overwriting is what the immutability policy forbids.
        dataActions: ['${blobs}/read', '${blobs}/add/action', '${blobs}/write']
        notDataActions: []
      }
    ]
  }
}

output id string = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.name)
