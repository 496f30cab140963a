// The alerts. docs/deploy.md says what to do for each.

@description('Which environment this is.')
param environmentName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('Resource id of the action group that is notified.')
param actionGroupId string

@description('Name of the storage account, for its queues.')
param storageAccountName string

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
  name: storageAccountName
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

resource queryAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in queryRules: {
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

// The poison queue and the host's queues together: storage counts messages per account and hour only. The rule
// `given-up` reports poison sooner; this one reports that messages are not processed.
resource queueLength 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-tonearm-${environmentName}-queue-length'
  location: 'global'
  tags: tags
  properties: {
    description: 'Messages wait in the queues: uploads or poison messages are not processed.'
    enabled: true
    severity: 2
    scopes: [
      queueService.id
    ]
    evaluationFrequency: 'PT1H'
    windowSize: 'PT6H'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'messages'
          metricNamespace: 'Microsoft.Storage/storageAccounts/queueServices'
          metricName: 'QueueMessageCount'
          timeAggregation: 'Average'
          operator: 'GreaterThan'
          threshold: 100
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
}

resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-tonearm-${environmentName}-dead-letters'
  location: 'global'
  tags: tags
  properties: {
    description: 'The function app never got some uploads\' events: they are in event-dead-letters.'
    enabled: true
    severity: 1
    scopes: [
      topic.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'events'
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: 'DeadLetteredCount'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 0
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
}

resource webFaults 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-tonearm-${environmentName}-web'
  location: 'global'
  tags: tags
  properties: {
    description: 'The web page answers with server errors (5xx).'
    enabled: true
    severity: 2
    scopes: [
      webApp.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'faults'
          metricNamespace: 'Microsoft.Web/sites'
          metricName: 'Http5xx'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 5
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
}
