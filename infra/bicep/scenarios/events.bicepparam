// The events' way to green in prod.
using '../events.bicep'

param environmentName = 'prod'
param liveColour = 'green'
