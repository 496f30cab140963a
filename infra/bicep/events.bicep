// What needs the live colour's code to run: its host makes the key that is read here, and answers Event Grid's
// handshake. Deploying this with the other colour moves the events to it.
targetScope = 'resourceGroup'

@description('Which environment this is, as in main.bicep.')
@allowed([
  'dev'
  'prod'
])
param environmentName string

@description('The function app that gets the uploads. Left out, the one that is live.')
@allowed([
  'blue'
  'green'
])
param liveColour string = any(resourceGroup().?tags.?tonearmLiveColour ?? 'blue')

@description('Azure region of the logs, as in main.bicep.')
param location string = resourceGroup().location

var groupTags = resourceGroup().?tags ?? {}

// The same names as in main.bicep.
var suffix = take(uniqueString(resourceGroup().id), 6)
var functionAppName = 'func-tonearm-${environmentName}-${liveColour}-${suffix}'

module subscription 'modules/event-subscription.bicep' = {
  params: {
    topicName: 'evgt-tonearm-${environmentName}-${suffix}'
    storageAccountName: 'sttonearm${environmentName}${suffix}'
    functionAppName: functionAppName
  }
}

// Here, so that it asks the colour that is live from a switch on.
module availability 'modules/availability.bicep' = {
  params: {
    testName: 'available-tonearm-${environmentName}-api'
    title: 'The live function app is not healthy.'
    location: location
    tags: {
      system: 'tonearm'
      environment: environmentName
      // The group has them from main.bicep.
      ...(contains(groupTags, 'owner') ? { owner: groupTags.owner } : {})
      ...(contains(groupTags, 'cost-centre') ? { 'cost-centre': groupTags['cost-centre'] } : {})
    }
    url: 'https://${functionAppName}.azurewebsites.net/api/health'
    applicationInsightsName: 'appi-tonearm-${environmentName}'
    actionGroupName: 'ag-tonearm-${environmentName}'
  }
}

@description('The colour that gets uploads after this deployment.')
output liveColour string = liveColour

@description('Name of the event subscription.')
output eventSubscriptionName string = subscription.outputs.subscriptionName
