// The vault of the decryption keys and of the clientState, and of nothing else: whoever may read one secret of it may read
// both, which is what the app needs.
param name string
param location string
param tags object
param workspaceId string

@description('Object id of the app\'s managed identity, which reads the certificate and the clientState.')
param appPrincipalId string

@description('Object id of who may create the certificate; empty for nobody.')
param certificateOfficerId string

@description('No access but through private endpoints, and from adminIpRanges.')
param private bool

@description('IPv4 ranges of administrators, in CIDR notation, where the vault is private.')
param adminIpRanges array

var secretsUser = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')
var certificatesOfficer = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'a4417e6f-fecd-4de8-b567-7b0420556985')

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // A purged version of the certificate makes what it encrypted unreadable for ever.
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: private && empty(adminIpRanges) ? 'Disabled' : 'Enabled'
    networkAcls: {
      // The archive's storage account reads its own key here, if it has one.
      bypass: 'AzureServices'
      defaultAction: private ? 'Deny' : 'Allow'
      ipRules: [for range in adminIpRanges: { value: range }]
    }
  }
}

resource readsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, appPrincipalId, secretsUser)
  scope: vault
  properties: { principalId: appPrincipalId, principalType: 'ServicePrincipal', roleDefinitionId: secretsUser }
}

resource createsCertificate 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(certificateOfficerId)) {
  name: guid(vault.id, certificateOfficerId, certificatesOfficer)
  scope: vault
  properties: { principalId: certificateOfficerId, roleDefinitionId: certificatesOfficer }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'AuditEvent', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output id string = vault.id
output name string = vault.name
output uri string = vault.properties.vaultUri
