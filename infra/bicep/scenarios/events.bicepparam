// The events' way to green in prod, as a switch deploys it.
using '../events.bicep'

param environmentName = 'prod'
param liveColour = 'green'
