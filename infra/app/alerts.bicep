// What wakes somebody up. Each rule has its runbook in docs/operations.md under the heading of its name; tests hold the
// metrics, attributes and tables of every query against shared/core/metrics.py.

@description('Where the rules live. Log search rules must be in the region of the workspace.')
param location string
param tags object
@description('Names of the rules begin with it, so that two archives in one subscription can be told apart.')
param namePrefix string
param applicationInsightsId string
param workspaceId string
param functionAppId string
param archiveAccountId string
param hostAccountId string
param vaultId string
@description('Who gets the mails. Empty: alerts are shown in the portal and tell nobody.')
param alertEmail string

// In a workspace that several components share, only this one's rows count. Alert queries must begin with a table.
var ofThisApp = '| where _ResourceId =~ \'${applicationInsightsId}\''

// One row each: fires where the query gives a row, once for each value of the dimension. Severity: 0 critical, 1 error,
// 2 warning, 3 worth knowing. Gauges are set every five minutes and told every minute, so the newest value in a window
// of 15 is what is the case now. Azure lets alert queries look back two days at most.
var rules = [
  {
    name: 'heartbeat-missing'
    severity: 0
    frequency: 'PT5M'
    window: 'PT30M'
    description: 'The app has reported nothing for half an hour; sweep_inbox does every five minutes. Look whether it runs, and whether telemetry arrives.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.inbox.oldest_age'
      | summarize Reports = count()
      | where Reports == 0
    '''
  }
  {
    name: 'subscription-not-live'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    description: 'Fewer subscriptions live than settings want, for 15 minutes: Graph does not notify of everything. Read subscriptions[].problem in /api/status.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name in ('copilot_archive.subscriptions.wanted', 'copilot_archive.subscriptions.live')
      | summarize Wanted = minif(Sum, Name == 'copilot_archive.subscriptions.wanted'), Live = maxif(Sum, Name == 'copilot_archive.subscriptions.live')
      | where coalesce(Live, 0.0) < Wanted
    '''
  }
  {
    name: 'subscription-expiring'
    severity: 1
    frequency: 'PT15M'
    window: 'PT15M'
    description: 'A subscription lives for less than 24 hours, so renewing it has failed for half a day. Read subscriptions[].problem in /api/status.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.subscriptions.time_left'
      | summarize arg_max(TimeGenerated, Sum)
      | where Sum < 86400
    '''
  }
  {
    name: 'certificate-expiring'
    severity: 2
    frequency: 'PT1H'
    window: 'PT1H'
    description: 'The encryption certificate expires within 30 days and has not been replaced. Make a new version of it in Key Vault.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.certificate.days_left'
      | summarize arg_max(TimeGenerated, Sum)
      | where Sum < 30
    '''
  }
  {
    name: 'inbox-old'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    description: 'A post has waited for more than 15 minutes. Nothing is lost; something that the app needs is out of reach. The log of store_notifications says what.'
    table: 'AppMetrics'
    dimension: 'Queue'
    query: '''
      | where Name == 'copilot_archive.inbox.oldest_age'
      | summarize arg_max(TimeGenerated, Sum) by Queue = tostring(Properties['queue'])
      | where Sum > 900
    '''
  }
  {
    name: 'dead-letters-held'
    severity: 2
    frequency: 'PT15M'
    window: 'PT15M'
    description: 'Items that cannot be archived wait for an operator. Mend what the reason says, then replay them.'
    table: 'AppMetrics'
    dimension: 'Reason'
    query: '''
      | where Name == 'copilot_archive.dead_letters.held'
      | summarize arg_max(TimeGenerated, Sum) by Reason = tostring(Properties['reason'])
      | where Sum > 0
    '''
  }
  {
    name: 'dead-letters-surge'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    description: 'More than 25 items of one reason became dead letters within 15 minutes: a cause that meets every item. Mend it, then replay them.'
    table: 'AppMetrics'
    dimension: 'Reason'
    query: '''
      | where Name == 'copilot_archive.dead_letters.parked'
      | summarize Items = sum(Sum) by Reason = tostring(Properties['reason'])
      | where Items > 25
    '''
  }
  {
    name: 'posts-failed'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    description: 'Posts were answered with 5xx because the inbox could not be written. Graph sends them again for four hours at most. Look at the storage account.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.posts.received'
      | summarize Posts = sum(Sum) by Answer = toint(Properties['answer']), Queue = tostring(Properties['queue'])
      | where Answer >= 500 and Posts > 0
    '''
  }
  {
    name: 'posts-refused'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    description: 'More than half of at least 20 posts in an hour were refused with 4xx: Graph sends what we do not know, or somebody else posts. Compare CLIENT_STATE and the subscriptions.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.posts.received'
      | extend Answer = toint(Properties['answer'])
      | summarize Posts = sum(Sum), Refused = sumif(Sum, Answer between (400 .. 499))
      | where Posts >= 20 and Refused > Posts / 2
    '''
  }
  {
    name: 'posts-slow'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    description: 'In three of 15 minutes an answer to Graph took more than 2 seconds. Over 3 s Graph delays notifications, over 10 s it drops them. Look at storage latency and always ready instances.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.posts.acknowledgement_time'
      | where Max > 2
      | summarize Minutes = dcount(bin(TimeGenerated, 1m)), Slowest = max(Max)
      | where Minutes >= 3
    '''
  }
  {
    name: 'no-traffic'
    severity: 2
    frequency: 'PT15M'
    window: 'P2D'
    description: 'No notification for an hour on a working day, though there were at least 20 in the same hour of yesterday. Look whether the subscriptions live and Graph is well.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.posts.received' and Properties['queue'] == 'notifications' and toint(Properties['answer']) == 202
      | summarize Now = sumif(Sum, TimeGenerated > now(-70m)), Yesterday = sumif(Sum, TimeGenerated between (now(-1510m) .. now(-1450m)))
      | where Now == 0 and Yesterday >= 20 and dayofweek(now()) !in (0d, 6d)
    '''
  }
  {
    name: 'export-behind'
    severity: 2
    frequency: 'PT1H'
    window: 'PT1H'
    description: 'The export of a user is more than 36 hours behind. Look at exports in /api/status and the log of export_window.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.exports.lag'
      | summarize arg_max(TimeGenerated, Sum)
      | where Sum > 129600
    '''
  }
  {
    name: 'export-users-flagged'
    severity: 2
    frequency: 'PT1H'
    window: 'PT1H'
    description: 'Graph refuses the export of a user for good. What notifications bring of this user is archived, and nothing corroborates it. Look at exports in /api/status.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.exports.users' and Properties['state'] == 'flagged'
      | summarize arg_max(TimeGenerated, Sum)
      | where Sum > 0
    '''
  }
  {
    name: 'export-refused'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    description: 'More than half of at least 20 requests to the export API failed within an hour. Look at the permission of the app registration, its licence, and throttling.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.exports.requests'
      | summarize Requests = sum(Sum), Failed = sumif(Sum, tostring(Properties['answer']) != '200')
      | where Requests >= 20 and Failed > Requests / 2
    '''
  }
  {
    name: 'export-budget'
    severity: 3
    frequency: 'PT1H'
    window: 'PT6H'
    description: 'A plan spends more than 90 % of the requests that an hour has: with more users or traffic the export falls behind.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.exports.budget_used'
      | summarize arg_max(TimeGenerated, Sum)
      | where Sum > 0.9
    '''
  }
  {
    name: 'missed-by-notifications'
    severity: 2
    frequency: 'PT1H'
    window: 'PT6H'
    description: 'The export found interactions that Graph never notified of. They are archived now; find out why notifications missed them.'
    table: 'AppMetrics'
    dimension: 'Resource'
    query: '''
      | where Name == 'copilot_archive.corroboration.missed_by_notifications'
      | summarize arg_max(TimeGenerated, Sum) by Resource = tostring(Properties['resource'])
      | where Sum > 0
    '''
  }
  {
    name: 'not-shown-by-export'
    severity: 3
    frequency: 'PT1H'
    window: 'PT6H'
    description: 'Notifications brought interactions that the export has not shown after 48 hours. They are archived; nothing corroborates them.'
    table: 'AppMetrics'
    dimension: 'Resource'
    query: '''
      | where Name == 'copilot_archive.corroboration.not_shown_by_export'
      | summarize arg_max(TimeGenerated, Sum) by Resource = tostring(Properties['resource'])
      | where Sum > 0
    '''
  }
  {
    name: 'gaps-open'
    severity: 2
    frequency: 'PT1H'
    window: 'P1D'
    description: 'Hours without a live subscription have not been exported for a day. The export fills them: look why it does not.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.gaps.open'
      | summarize Fewest = min(Sum), Reported = max(TimeGenerated) - min(TimeGenerated)
      | where Fewest > 0 and Reported > 12h
    '''
  }
  {
    name: 'gaps-lost'
    severity: 1
    frequency: 'PT15M'
    window: 'PT1H'
    description: 'Hours that no notification vouches for can not be exported. What fell into them is not in the archive.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.gaps.lost'
      | summarize arg_max(TimeGenerated, Sum)
      | where Sum > 0
    '''
  }
  {
    name: 'conflicts'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    description: 'Two different contents claimed one identity. Both are kept. Compare the pair that state/conflicts names.'
    table: 'AppMetrics'
    dimension: ''
    query: '''
      | where Name == 'copilot_archive.interactions.conflicts'
      | summarize Interactions = sum(Sum) by Source = tostring(Properties['source'])
      | where Interactions > 0
    '''
  }
  {
    name: 'dependency-failures'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    description: 'Something that the app needs was out of reach more than 10 times in 15 minutes: the dimension says what. Work is tried again by itself.'
    table: 'AppMetrics'
    dimension: 'Dependency'
    query: '''
      | where Name == 'copilot_archive.dependencies.failures'
      | summarize Failures = sum(Sum) by Dependency = tostring(Properties['dependency'])
      | where Failures > 10
    '''
  }
  {
    name: 'functions-failing'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    description: 'A function fails more often than it ends well. What it works on stays where it is and is tried again. Its exceptions are in Application Insights.'
    table: 'AppRequests'
    dimension: 'Function'
    query: '''
      | summarize Runs = sum(ItemCount), Failed = sumif(ItemCount, Success == false) by Function = Name
      | where Failed >= 3 and Failed > Runs / 2
    '''
  }
]

// What the app cannot say itself: answers that never reached it, and services whose trouble stops it from reporting.
var platform = [
  {
    name: 'front-end-failures'
    severity: 1
    scope: functionAppId
    namespace: 'Microsoft.Web/sites'
    metric: 'Http5xx'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 5
    description: 'The platform answered with 5xx more than 5 times in 15 minutes; the app may never have seen these posts. Look at the log stream and at the last deployment.'
  }
  {
    name: 'archive-storage-unavailable'
    severity: 1
    scope: archiveAccountId
    namespace: 'Microsoft.Storage/storageAccounts'
    metric: 'Availability'
    aggregation: 'Average'
    operator: 'LessThan'
    threshold: 99
    description: 'Requests to the storage account of the archive fail. Posts are answered with 503 and Graph sends them again for four hours.'
  }
  {
    name: 'host-storage-unavailable'
    severity: 1
    scope: hostAccountId
    namespace: 'Microsoft.Storage/storageAccounts'
    metric: 'Availability'
    aggregation: 'Average'
    operator: 'LessThan'
    threshold: 99
    description: 'Requests to the storage account of the host and its queues fail. Timers and queues stand still; posts are kept in the inbox.'
  }
  {
    name: 'vault-unavailable'
    severity: 2
    scope: vaultId
    namespace: 'Microsoft.KeyVault/vaults'
    metric: 'Availability'
    aggregation: 'Average'
    operator: 'LessThan'
    threshold: 99
    description: 'Requests to Key Vault fail. Posts wait in the inbox until their keys can be read.'
  }
]

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${namePrefix}-operators'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'archive'
    enabled: true
    emailReceivers: empty(alertEmail) ? [] : [{ name: 'operators', emailAddress: alertEmail, useCommonAlertSchema: true }]
  }
}

resource queryRules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: '${namePrefix}-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${namePrefix}: ${rule.name}'
    description: '${rule.description} Runbook: docs/operations.md#${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [workspaceId]
    evaluationFrequency: rule.frequency
    windowSize: rule.window
    criteria: {
      allOf: [
        {
          query: '${rule.table} ${ofThisApp}\n${rule.query}'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          dimensions: empty(rule.dimension) ? [] : [{ name: rule.dimension, operator: 'Include', values: ['*'] }]
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    autoMitigate: true
    // A workspace knows no table of Application Insights before the first telemetry has arrived.
    skipQueryValidation: true
    actions: {
      actionGroups: [operators.id]
      customProperties: { runbook: 'docs/operations.md#${rule.name}' }
    }
  }
}]

resource platformRules 'Microsoft.Insights/metricAlerts@2018-03-01' = [for rule in platform: {
  name: '${namePrefix}-${rule.name}'
  location: 'global'
  tags: tags
  properties: {
    description: '${rule.description} Runbook: docs/operations.md#${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [rule.scope]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: rule.name
          metricNamespace: rule.namespace
          metricName: rule.metric
          timeAggregation: rule.aggregation
          operator: rule.operator
          threshold: rule.threshold
          // Which metrics a site on Flex Consumption has is not documented in full; the rule must not stop a deployment.
          skipMetricValidation: true
        }
      ]
    }
    autoMitigate: true
    actions: [{ actionGroupId: operators.id }]
  }
}]

output actionGroupId string = operators.id
