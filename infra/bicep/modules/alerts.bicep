// The alerts. docs/deploy.md says what to do for each.
import { resourceTags } from 'shared.bicep'

@description('Which environment this is.')
param environmentName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('Resource id of the action group that is notified.')
param actionGroupId string

@description('Name of the host\'s storage account, where uploads\' events wait.')
param hostAccountName string

@description('Name of the Event Grid system topic.')
param topicName string

@description('Name of the web app.')
param webAppName string

@description('Slowest 5 % of classifications may take this long, in milliseconds.')
@minValue(100)
param latencyLimitMs int

// Requests (each run of a function is one) and exceptions are never sampled, see host.json; traces may be.
var queryRules = [
  {
    name: 'failures'
    title: 'Function runs fail'
    severity: 2
    threshold: 5
    query: '''
AppRequests
| where Success == false or toint(ResultCode) >= 500
'''
  }
  {
    name: 'errors'
    title: 'Errors are logged'
    severity: 2
    threshold: 10
    query: '''
union isfuzzy=true AppExceptions, (AppTraces | where SeverityLevel >= 3)
'''
  }
  {
    name: 'given-up'
    title: 'Uploads are given up: messages in the poison queue'
    severity: 1
    threshold: 0
    query: '''
AppRequests
| where Name == 'answer_poisoned'
'''
  }
  {
    name: 'log-cap'
    title: 'The daily cap of logs is reached: nothing more is logged today'
    severity: 2
    threshold: 0
    query: '''
_LogOperation
| where Category =~ 'Ingestion' and Detail contains 'OverQuota'
'''
  }
  {
    name: 'latency'
    title: 'Classifications are slow'
    severity: 3
    threshold: 0
    query: replace('''
AppRequests
| where Name in ('classify', 'answer_upload')
| summarize Runs = count(), P95 = percentile(DurationMs, 95) by Name
| where Runs >= 20 and P95 > LIMIT
''', 'LIMIT', string(latencyLimitMs))
  }
]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostAccountName
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource webApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: webAppName
}

var metricRules = [
  {
    // Storage counts messages per account and hour only. The rule `given-up` reports poison.
    name: 'queue-length'
    description: 'Messages wait in the queues: uploads are not processed.'
    severity: 2
    scope: queueService.id
    namespace: 'Microsoft.Storage/storageAccounts/queueServices'
    metric: 'QueueMessageCount'
    aggregation: 'Average'
    threshold: 100
    frequency: 'PT1H'
    window: 'PT6H'
  }
  {
    name: 'dead-letters'
    description: 'The function app never got some uploads\' events: they are in event-dead-letters.'
    severity: 1
    scope: topic.id
    namespace: 'Microsoft.EventGrid/systemTopics'
    metric: 'DeadLetteredCount'
    aggregation: 'Total'
    threshold: 0
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'deliveries'
    description: 'Event Grid tries in vain to reach the live function app: uploads wait.'
    severity: 2
    scope: topic.id
    namespace: 'Microsoft.EventGrid/systemTopics'
    metric: 'DeliveryAttemptFailCount'
    aggregation: 'Total'
    threshold: 10
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'web'
    description: 'The web page answers with server errors (5xx).'
    severity: 2
    scope: webApp.id
    namespace: 'Microsoft.Web/sites'
    metric: 'Http5xx'
    aggregation: 'Total'
    threshold: 5
    frequency: 'PT5M'
    window: 'PT15M'
  }
]

resource queryAlerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [for rule in queryRules: {
  name: 'alert-tonearm-${environmentName}-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Tonearm ${environmentName}: ${rule.title}'
    enabled: true
    severity: rule.severity
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    // The tables do not exist before the first telemetry.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        actionGroupId
      ]
    }
  }
}]

resource metricAlerts 'Microsoft.Insights/metricAlerts@2026-01-01' = [for rule in metricRules: {
  name: 'alert-tonearm-${environmentName}-${rule.name}'
  location: 'global'
  tags: tags
  properties: {
    description: rule.description
    enabled: true
    severity: rule.severity
    scopes: [
      rule.scope
    ]
    evaluationFrequency: rule.frequency
    windowSize: rule.window
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: rule.name
          metricNamespace: rule.namespace
          metricName: rule.metric
          timeAggregation: rule.aggregation
          operator: 'GreaterThan'
          threshold: rule.threshold
          skipMetricValidation: true
        }
      ]
    }
    actions: [
      {
        actionGroupId: actionGroupId
      }
    ]
  }
}]
