// Asks an address from three places every 15 minutes, and alerts when two of them get no good answer.
import { resourceTags } from 'shared.bicep'

@description('Name of the test and of its alert.')
param testName string

@description('What is asked, as alerts say it.')
param title string

@description('Azure region of the Application Insights component.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Address that must answer 200.')
param url string

@description('Name of the Application Insights component that keeps the results.')
param applicationInsightsName string

@description('Name of the action group that is notified.')
param actionGroupName string

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' existing = {
  name: actionGroupName
}

resource test 'Microsoft.Insights/webtests@2022-06-15' = {
  name: testName
  location: location
  tags: {
    ...tags
    // The portal finds a component's tests by it.
    'hidden-link:${applicationInsights.id}': 'Resource'
  }
  kind: 'standard'
  properties: {
    Name: testName
    SyntheticMonitorId: testName
    Kind: 'standard'
    Enabled: true
    Frequency: 900
    Timeout: 60
    RetryEnabled: true
    // North and West Europe, and East US: https://learn.microsoft.com/azure/azure-monitor/app/availability
    Locations: [
      {
        Id: 'emea-gb-db3-azr'
      }
      {
        Id: 'emea-nl-ams-azr'
      }
      {
        Id: 'us-va-ash-azr'
      }
    ]
    Request: {
      HttpVerb: 'GET'
      RequestUrl: url
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}

resource unavailable 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: testName
  location: 'global'
  tags: tags
  properties: {
    description: title
    enabled: true
    severity: 1
    scopes: [
      test.id
      applicationInsights.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: test.id
      componentId: applicationInsights.id
      failedLocationCount: 2
    }
    actions: [
      {
        actionGroupId: actionGroup.id
      }
    ]
  }
}
