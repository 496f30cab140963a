// What dev.bicepparam deploys at first, once the values that a person fills in are there.
using '../main.bicep'
extends '../dev.bicepparam'

param liveColour = 'none'
param webClientId = '00000000-0000-0000-0000-00000000c11e'
