// The account of what must not be lost: posts that wait, interactions at rest, dead letters, checkpoints.
param name string
param location string
param tags object
param workspaceId string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Role of the app in the containers where things come to rest: archive-role.bicep\'s, or empty for Storage Blob Data Contributor.')
param archiveRoleId string

@description('Object ids of groups that may read what is archived.')
param readerGroupIds array

@description('No access but through private endpoints, and from adminIpRanges.')
param private bool

@description('IPv4 ranges of administrators and readers, in CIDR notation without /31 and /32, where the account is private.')
param adminIpRanges array

param redundancy string

@description('Age in days at which archived blobs become cool, cold, archived; 0 for never.')
param coolAfterDays int
param coldAfterDays int
param archiveAfterDays int

@description('For how many days nothing archived can be overwritten or deleted.')
param immutabilityDays int

@description('False once the policies are locked: Azure refuses to declare a locked policy again.')
param declareImmutability bool

@description('For how many days deleted blobs, containers and old versions can be brought back.')
param softDeleteDays int

@description('A lock against deleting the account.')
param lock bool

@description('The customer\'s own key, by encryption-key.bicep; empty for Microsoft\'s.')
param encryptionIdentityId string = ''
param encryptionKeyName string = ''
param encryptionVaultUri string = ''

// Create-only in the app, immutable here.
var restContainers = ['interactions', 'chats', 'resources']
// The app changes and deletes here: posts once they are at rest, dead letters once they are replayed, state all the time.
var workContainers = ['inbox', 'dead-letters', 'state']
var blobDataContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'ba92f5b4-2d11-453d-a403-e96b0029c9fe')
var blobDataReader = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1')
var restRole = empty(archiveRoleId) ? blobDataContributor : archiveRoleId
var ownKey = !empty(encryptionKeyName)
var restPrefixes = [for container in restContainers: '${container}/']
var workPrefixes = [for container in workContainers: '${container}/']

var toCool = coolAfterDays > 0 ? { tierToCool: { daysAfterCreationGreaterThan: coolAfterDays } } : {}
var toCold = coldAfterDays > 0 ? { tierToCold: { daysAfterCreationGreaterThan: coldAfterDays } } : {}
var toArchive = archiveAfterDays > 0 ? { tierToArchive: { daysAfterCreationGreaterThan: archiveAfterDays } } : {}
var tiers = union(toCool, toCold, toArchive)

// No rule deletes a post or a dead letter: they leave when they are at rest, or an operator has been told.
var agingRule = {
  name: 'archive-ages'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: restPrefixes }
    actions: { baseBlob: tiers }
  }
}
var activityRule = {
  name: 'activity-expires'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: ['state/activity/'] }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 7 } } }
  }
}
// What the app has deleted or replaced leaves a version behind, with clientState and tokens in it.
var versionsRule = {
  name: 'old-versions-of-work-expire'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: workPrefixes }
    actions: { version: { delete: { daysAfterCreationGreaterThan: softDeleteDays } } }
  }
}
var rules = concat([activityRule, versionsRule], empty(tiers) ? [] : [agingRule])

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  identity: ownKey ? { type: 'UserAssigned', userAssignedIdentities: { '${encryptionIdentityId}': {} } } : { type: 'None' }
  properties: {
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowedCopyScope: 'AAD'
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: private && empty(adminIpRanges) ? 'Disabled' : 'Enabled'
    networkAcls: {
      // Lifecycle management is one of Azure's trusted services, and the firewall would keep it out.
      bypass: 'AzureServices'
      defaultAction: private ? 'Deny' : 'Allow'
      ipRules: [for range in adminIpRanges: { value: range, action: 'Allow' }]
    }
    encryption: {
      // Only at creation: an existing account can't change it.
      requireInfrastructureEncryption: true
      keySource: ownKey ? 'Microsoft.Keyvault' : 'Microsoft.Storage'
      identity: ownKey ? { userAssignedIdentity: encryptionIdentityId } : null
      // No version: storage follows the key's rotation.
      keyvaultproperties: ownKey ? { keyname: encryptionKeyName, keyvaulturi: encryptionVaultUri } : null
      services: { blob: { enabled: true, keyType: 'Account' } }
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      isVersioningEnabled: true
      changeFeed: { enabled: true, retentionInDays: 365 }
      deleteRetentionPolicy: { enabled: true, days: softDeleteDays }
      containerDeleteRetentionPolicy: { enabled: true, days: softDeleteDays }
    }
  }
}

resource rest 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [for container in restContainers: {
  parent: account::blobs
  name: container
  properties: { publicAccess: 'None' }
}]

resource work 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [for container in workContainers: {
  parent: account::blobs
  name: container
  properties: { publicAccess: 'None' }
}]

// Unlocked: it forbids overwriting and deleting, and an administrator can still shorten it. How to lock it, for good, is
// in docs/operations.md. Blobs are written once and whole, so nothing is ever appended.
resource immutable 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-06-01' = [for (container, index) in restContainers: if (declareImmutability) {
  parent: rest[index]
  name: 'default'
  properties: { immutabilityPeriodSinceCreationInDays: immutabilityDays, allowProtectedAppendWrites: false }
}]

resource ageing 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: { policy: { rules: rules } }
  dependsOn: [account::blobs]
}

resource addsToRest 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (container, index) in restContainers: {
  name: guid(account.id, container, appPrincipalId, restRole)
  scope: rest[index]
  properties: { principalId: appPrincipalId, principalType: 'ServicePrincipal', roleDefinitionId: restRole }
}]

resource worksIn 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (container, index) in workContainers: {
  name: guid(account.id, container, appPrincipalId, blobDataContributor)
  scope: work[index]
  properties: { principalId: appPrincipalId, principalType: 'ServicePrincipal', roleDefinitionId: blobDataContributor }
}]

// Every group in every container: containers turn fastest.
resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for index in range(0, length(readerGroupIds) * length(restContainers)): {
  name: guid(account.id, restContainers[index % length(restContainers)], readerGroupIds[index / length(restContainers)], blobDataReader)
  scope: rest[index % length(restContainers)]
  properties: {
    principalId: readerGroupIds[index / length(restContainers)]
    principalType: 'Group'
    roleDefinitionId: blobDataReader
  }
}]

resource undeletable 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  name: 'archive'
  scope: account
  properties: { level: 'CanNotDelete', notes: 'Holds the archive of Copilot interactions.' }
}

// Who read an interaction is as much a question of an audit as who deleted one.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account::blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageRead', enabled: true }
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

output id string = account.id
output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
