// The app itself: Python on Flex Consumption, one app in one plan.
param name string
param planName string
param location string
param tags object
param workspaceId string

@description('The app\'s managed identity.')
param identityId string

@description('The app settings, see main.bicep.')
param settings object

@description('Which part of the traces is kept; empty for the default of azure-monitor-opentelemetry.')
param traceSampling string

@description('The container that deployments are taken from.')
param packageUrl string

@description('Memory of an instance: 512 MB has a quarter of a core, 2048 MB one, 4096 MB two.')
param instanceMemoryMB int
param maximumInstanceCount int

@description('How many posts an instance of the webhooks takes at a time.')
param httpConcurrency int

@description('Instances of the webhooks that always run. With none, Graph\'s handshake and its three seconds meet a cold start.')
param alwaysReadyHttp int

@description('Instances of store_notifications that always run; without any, the first post after a quiet time waits for a start.')
param alwaysReadyStore int
param zoneRedundant bool

@description('Subnet for the app\'s own calls; empty for none.')
param subnetId string

@description('Who may call the site, in CIDR notation: Graph\'s senders. Empty for everybody.')
param webhookIpRanges array

@description('Who else may call the site, where webhookIpRanges says something.')
param operatorIpRanges array

var sampling = empty(traceSampling) ? {} : { OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage', OTEL_TRACES_SAMPLER_ARG: traceSampling }
var restricted = !empty(webhookIpRanges)
// Access restrictions are for the whole site, not for a path: health, status, dashboard and replay share it, so operators and
// probes have to be among the ranges. Deployments go to the SCM site, which asks for Entra ID and stays as it is.
var graphRules = [for (range, index) in webhookIpRanges: {
  name: 'graph-${index}'
  action: 'Allow'
  priority: 100 + index
  ipAddress: range
}]
var operatorRules = [for (range, index) in operatorIpRanges: {
  name: 'operators-${index}'
  action: 'Allow'
  priority: 1000 + index
  ipAddress: range
}]
// A zone-redundant app needs two, or a failed zone takes the only warm instance with it.
var readyHttp = alwaysReadyHttp > 0 && zoneRedundant ? max(alwaysReadyHttp, 2) : alwaysReadyHttp
var httpReady = readyHttp > 0 ? [{ name: 'http', instanceCount: readyHttp }] : []
var storeReady = alwaysReadyStore > 0 ? [{ name: 'function:store_notifications', instanceCount: alwaysReadyStore }] : []

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true, zoneRedundant: zoneRedundant }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    // Graph posts from the internet.
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    keyVaultReferenceIdentity: identityId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      remoteDebuggingEnabled: false
      ipSecurityRestrictions: restricted ? concat(graphRules, operatorRules) : []
      ipSecurityRestrictionsDefaultAction: restricted ? 'Deny' : 'Allow'
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: 'Allow'
    }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: concat(httpReady, storeReady)
        // Python's default is one post at a time, which is an instance for each.
        triggers: { http: { perInstanceConcurrency: httpConcurrency } }
      }
    }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(settings, sampling)
  }

  // Passwords for deployments, which nobody uses here: deploying asks for Entra ID.
  resource noFtpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource noScmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: site
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'FunctionAppLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output id string = site.id
output name string = site.name
output hostName string = site.properties.defaultHostName
