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
param liveColour string = any(contains(resourceGroup().tags, 'tonearmLiveColour') ? resourceGroup().tags.tonearmLiveColour : 'blue')

// The same names as in main.bicep.
var suffix = take(uniqueString(resourceGroup().id), 6)

module subscription 'modules/event-subscription.bicep' = {
  name: 'event-subscription'
  params: {
    topicName: 'evgt-tonearm-${environmentName}-${suffix}'
    storageAccountName: 'sttonearm${environmentName}${suffix}'
    functionAppName: 'func-tonearm-${environmentName}-${liveColour}-${suffix}'
  }
}

@description('The colour that gets uploads after this deployment.')
output liveColour string = liveColour

@description('Name of the event subscription.')
output eventSubscriptionName string = subscription.outputs.subscriptionName
