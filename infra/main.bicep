// Everything that an archive of Copilot interactions needs, in a resource group of its own: docs/deploy.md.
targetScope = 'subscription'

// Where

@description('Names this deployment; part of most names.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Azure region. It must offer Flex Consumption and the redundancies below.')
@minLength(1)
param location string

@description('Further tags for every resource.')
param tags object = {}

// What to archive

@description('What to subscribe to, see docs/subscriptions.md.')
param subscriptions array = [
  {
    resource: 'copilot/interactionHistory/getAllEnterpriseInteractions'
    changeType: 'created,updated,deleted'
    includeResourceData: true
  }
]

@description('Whose interactions are exported: licensed, user ids with commas between, group:{id}, or none.')
param exportUsers string = 'licensed'

@description('From when on interactions are exported.')
param exportStart string = '2023-11-01T00:00:00Z'

@description('users, or tenant where Graph offers it.')
@allowed(['users', 'tenant'])
param exportScope string = 'users'

@description('App classes to export, with commas between; empty for all.')
param exportAppClasses string = ''

@description('Archive content that came without dataSignature.')
param allowUnsignedContent bool = false

@description('Posts over this many bytes are refused.')
param maxBodyBytes int = 4194304

@description('Where Graph reaches the webhooks, if not under the site\'s own name.')
param publicBaseUrl string = ''

@description('Microsoft Graph, if not the cloud\'s own: https://dod-graph.microsoft.us.')
param graphEndpoint string = ''

@allowed(['v1.0', 'beta'])
param graphApiVersion string = 'v1.0'

@description('When subscriptions are looked after, as six-field NCRONTAB in UTC.')
param renewSchedule string = '0 */5 * * * *'

@description('When the inbox is swept.')
param sweepSchedule string = '0 */5 * * * *'

@description('When exports are planned.')
param exportSchedule string = '0 7 * * * *'

// How large

@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Per function; no cap on what Graph is asked, which the app keeps itself.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@minValue(1)
@maxValue(1000)
param httpConcurrency int = 16

@description('Instances of the webhooks that always run: Graph waits three seconds for an answer.')
@minValue(1)
@maxValue(20)
param alwaysReadyHttp int = 1

@description('Instances of store_notifications that always run.')
@minValue(0)
@maxValue(20)
param alwaysReadyStore int = 0

@description('Spread instances over zones, where the region has them.')
param zoneRedundant bool = false

// How it is kept

@description('Redundancy of the archive. The archive tier is there for LRS, GRS and RAGRS alone.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_RAGRS', 'Standard_GZRS', 'Standard_RAGZRS'])
param archiveRedundancy string = 'Standard_ZRS'

@description('Redundancy of the host\'s account: queues, which the inbox can fill again, and the package.')
@allowed(['Standard_LRS', 'Standard_ZRS'])
param hostRedundancy string = 'Standard_ZRS'

@description('Age in days at which what is archived becomes cool; 0 for never, since moving a blob of some kilobytes costs more than years of keeping it hot.')
@minValue(0)
param coolAfterDays int = 0

@description('Age in days at which it becomes cold, later than cool; 0 for never.')
@minValue(0)
param coldAfterDays int = 0

@description('Age in days at which it goes offline into the archive tier, and takes hours to be read, later than cold; 0 for never.')
@minValue(0)
param archiveAfterDays int = 0

@description('For how many days nothing archived can be overwritten or deleted.')
@minValue(1)
@maxValue(146000)
param immutabilityDays int = 365

@description('Set to false after you have locked the policies: Azure refuses to declare a locked policy again.')
param declareImmutability bool = true

@description('For how many days what was deleted can be brought back.')
@minValue(7)
@maxValue(365)
param softDeleteDays int = 30

@description('A lock against deleting the archive\'s account. It stands in the way of azd down, which is what it is for.')
param lockArchive bool = true

@description('Encrypt the archive with a key of your own in the vault. Can\'t be undone without that key.')
param customerManagedKey bool = false

@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Which part of the traces is kept, such as 0.05; empty for about five a second. Metrics and alerts are never sampled.')
param traceSampling string = ''

// Who may

@description('Make the app registration, its trust in the managed identity, and its permissions. False where the deployer has no rights in the directory: then infra/grant-permissions.sh does it.')
param deployIdentity bool = true

@description('Client id of the app registration, where deployIdentity is false.')
param graphClientId string = ''

@description('Permissions beyond those that archiving Copilot interactions takes.')
@allowed([
  'GroupMember.Read.All'
  'Organization.Read.All'
  'Chat.ReadBasic.All'
  'Chat.Read.All'
  'ChatMember.Read.All'
])
param optionalPermissions array = []

@description('A role of its own for the app, without the right to delete what is archived. False where the deployer may make no role definitions.')
param restrictedArchiveRole bool = true

@description('Object ids of groups that may read what is archived.')
param readerGroupIds array = []

@description('Object id of who creates the encryption certificate, with infra/create-certificate.sh; empty for somebody who may already.')
param certificateOfficerId string = ''

@description('Name of the encryption certificate in the vault.')
param certificateName string = 'graph-notifications'

// From where

@description('Storage and vault without public addresses, behind private endpoints in a network of their own.')
param privateNetwork bool = false

@description('Address space of that network, and its subnets for the app (/27 or larger) and for private endpoints.')
param addressPrefix string = '10.60.0.0/24'
param appPrefix string = '10.60.0.0/26'
param endpointPrefix string = '10.60.0.64/26'

@description('Resource id of a NAT gateway for the app\'s calls to Graph; empty for Azure\'s default way out.')
param natGatewayId string = ''

@description('IPv4 ranges in CIDR notation from where administrators reach the private vault and archive. Storage takes no /31 and /32: write single addresses plainly.')
param adminIpRanges array = []

@description('Ranges that Graph posts from, in CIDR notation (https://learn.microsoft.com/microsoft-365/enterprise/additional-office365-ip-addresses-and-urls); they change, and yours to keep current. Empty for everybody. The whole site obeys, see operatorIpRanges.')
param webhookIpRanges array = []

@description('Ranges from where the dashboard, status, replay and health are called, where webhookIpRanges says something.')
param operatorIpRanges array = []

// Whom to tell

@description('Where alerts are sent; empty for nobody.')
param alertEmail string = ''

@secure()
@description('Not for you to set: becomes the clientState, with the first deployment only.')
param newClientState string = newGuid()

var token = uniqueString(subscription().id, environmentName, location)
var allTags = union(tags, { 'azd-env-name': environmentName })
var vaultName = 'kv-${token}'
var siteName = 'func-${token}'
var hostAccountName = 'sthost${token}'
var archiveAccountName = 'starchive${token}'
var permissions = concat(['AiEnterpriseInteraction.Read.All', 'User.Read.All'], optionalPermissions)
// Well above MAX_BODY_BYTES, so that the app and not the host answers a post that is too large; well below the host's 100 MB.
var hostBodyLimit = 4 * maxBodyBytes

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: allTags
}

module identity 'app/identity.bicep' = {
  name: 'identity'
  scope: group
  params: { name: 'id-${token}', location: location, tags: allTags }
}

module registration 'identity/app-registration.bicep' = if (deployIdentity) {
  name: 'app-registration'
  scope: group
  params: {
    uniqueName: 'copilot-interaction-archive-${token}'
    displayName: 'Copilot interaction archive (${environmentName})'
    identityPrincipalId: identity.outputs.principalId
    permissions: permissions
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-${token}'
    applicationInsightsName: 'appi-${token}'
    location: location
    tags: allTags
    appPrincipalId: identity.outputs.principalId
    retentionInDays: logRetentionDays
  }
}

module vault 'app/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: vaultName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    appPrincipalId: identity.outputs.principalId
    certificateOfficerId: certificateOfficerId
    private: privateNetwork
    adminIpRanges: adminIpRanges
  }
}

module clientState 'app/client-state.bicep' = {
  name: 'client-state'
  scope: group
  params: { vaultName: vault.outputs.name, newClientState: newClientState }
}

module encryptionKey 'app/encryption-key.bicep' = if (customerManagedKey) {
  name: 'encryption-key'
  scope: group
  params: {
    vaultName: vault.outputs.name
    identityName: 'id-encryption-${token}'
    location: location
    tags: allTags
  }
}

module archiveRole 'app/archive-role.bicep' = if (restrictedArchiveRole) {
  name: 'archive-role'
  scope: group
  params: { name: 'Copilot archive writer (${token})' }
}

module archiveStorage 'app/archive-storage.bicep' = {
  name: 'archive-storage'
  scope: group
  params: {
    name: archiveAccountName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    appPrincipalId: identity.outputs.principalId
    archiveRoleId: archiveRole.?outputs.?id ?? ''
    readerGroupIds: readerGroupIds
    private: privateNetwork
    adminIpRanges: adminIpRanges
    redundancy: archiveRedundancy
    coolAfterDays: coolAfterDays
    coldAfterDays: coldAfterDays
    archiveAfterDays: archiveAfterDays
    immutabilityDays: immutabilityDays
    declareImmutability: declareImmutability
    softDeleteDays: softDeleteDays
    lock: lockArchive
    encryptionIdentityId: encryptionKey.?outputs.?identityId ?? ''
    encryptionKeyName: encryptionKey.?outputs.?keyName ?? ''
    encryptionVaultUri: encryptionKey.?outputs.?vaultUri ?? ''
  }
}

module hostStorage 'app/host-storage.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    name: hostAccountName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    appPrincipalId: identity.outputs.principalId
    private: privateNetwork
    redundancy: hostRedundancy
  }
}

module network 'app/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: 'vnet-${token}'
    location: location
    tags: allTags
    addressPrefix: addressPrefix
    appPrefix: appPrefix
    endpointPrefix: endpointPrefix
    natGatewayId: natGatewayId
  }
}

// The archive has no queues, so there is no endpoint for them.
module archiveBlobEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'archive-blob-endpoint'
  scope: group
  params: {
    name: 'pep-${archiveAccountName}-blob'
    location: location
    tags: allTags
    subnetId: network.?outputs.?endpointSubnetId ?? ''
    zoneId: network.?outputs.?blobZoneId ?? ''
    targetId: archiveStorage.outputs.id
    service: 'blob'
  }
}

module hostBlobEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'host-blob-endpoint'
  scope: group
  params: {
    name: 'pep-${hostAccountName}-blob'
    location: location
    tags: allTags
    subnetId: network.?outputs.?endpointSubnetId ?? ''
    zoneId: network.?outputs.?blobZoneId ?? ''
    targetId: hostStorage.outputs.id
    service: 'blob'
  }
}

module hostQueueEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'host-queue-endpoint'
  scope: group
  params: {
    name: 'pep-${hostAccountName}-queue'
    location: location
    tags: allTags
    subnetId: network.?outputs.?endpointSubnetId ?? ''
    zoneId: network.?outputs.?queueZoneId ?? ''
    targetId: hostStorage.outputs.id
    service: 'queue'
  }
}

module vaultEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'vault-endpoint'
  scope: group
  params: {
    name: 'pep-${vaultName}'
    location: location
    tags: allTags
    subnetId: network.?outputs.?endpointSubnetId ?? ''
    zoneId: network.?outputs.?vaultZoneId ?? ''
    targetId: vault.outputs.id
    service: 'vault'
  }
}

module functions 'app/functions.bicep' = {
  name: 'functions'
  scope: group
  // A site that starts before its storage has an address in the network keeps looking for it in vain.
  dependsOn: [archiveBlobEndpoint, hostBlobEndpoint, hostQueueEndpoint, vaultEndpoint]
  params: {
    name: siteName
    planName: 'plan-${token}'
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    identityId: identity.outputs.id
    packageUrl: hostStorage.outputs.packageUrl
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyStore: alwaysReadyStore
    zoneRedundant: zoneRedundant
    subnetId: network.?outputs.?appSubnetId ?? ''
    webhookIpRanges: webhookIpRanges
    operatorIpRanges: operatorIpRanges
    traceSampling: traceSampling
    // docs/settings.md says what each means. What is empty counts as not set.
    settings: {
      AzureWebJobsStorage__blobServiceUri: hostStorage.outputs.blobEndpoint
      AzureWebJobsStorage__queueServiceUri: hostStorage.outputs.queueEndpoint
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.outputs.clientId
      ARCHIVE_STORAGE__blobServiceUri: archiveStorage.outputs.blobEndpoint
      ARCHIVE_STORAGE__credential: 'managedidentity'
      ARCHIVE_STORAGE__clientId: identity.outputs.clientId
      KEY_VAULT_URL: vault.outputs.uri
      ENCRYPTION_CERTIFICATE: certificateName
      GRAPH_TENANT_ID: tenant().tenantId
      GRAPH_CLIENT_ID: registration.?outputs.?clientId ?? graphClientId
      GRAPH_ENDPOINT: graphEndpoint
      GRAPH_API_VERSION: graphApiVersion
      AUTHORITY_HOST: environment().authentication.loginEndpoint
      PUBLIC_BASE_URL: publicBaseUrl
      CLIENT_STATE: clientState.outputs.appSetting
      SUBSCRIPTIONS: string(subscriptions)
      EXPORT_USERS: exportUsers
      EXPORT_START: exportStart
      EXPORT_SCOPE: exportScope
      EXPORT_APP_CLASSES: exportAppClasses
      MAX_BODY_BYTES: string(maxBodyBytes)
      ALLOW_UNSIGNED_CONTENT: string(allowUnsignedContent)
      RENEW_SCHEDULE: renewSchedule
      SWEEP_SCHEDULE: sweepSchedule
      EXPORT_SCHEDULE: exportSchedule
      FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: string(hostBodyLimit)
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
      PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
      // The app makes a span of its own for each call, without the URL.
      OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,requests,urllib,urllib3'
    }
  }
}

module alerts 'app/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: allTags
    namePrefix: environmentName
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    workspaceId: monitoring.outputs.workspaceId
    functionAppId: functions.outputs.id
    archiveAccountId: archiveStorage.outputs.id
    hostAccountId: hostStorage.outputs.id
    vaultId: vault.outputs.id
    alertEmail: alertEmail
  }
}

module workbook 'app/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: allTags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    workspaceId: monitoring.outputs.workspaceId
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_KEY_VAULT_NAME string = vault.outputs.name
output AZURE_FUNCTION_APP_ID string = functions.outputs.id
output AZURE_FUNCTION_APP_NAME string = functions.outputs.name
output ARCHIVE_STORAGE_ACCOUNT string = archiveStorage.outputs.name
output ENCRYPTION_CERTIFICATE string = certificateName
output GRAPH_CLIENT_ID string = registration.?outputs.?clientId ?? graphClientId
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output FUNCTION_APP_URL string = 'https://${functions.outputs.hostName}'
