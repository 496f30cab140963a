// What prod.bicepparam deploys at first, once the values that a person fills in are there.
using '../main.bicep'
extends '../prod.bicepparam'

param liveColour = 'none'
param webClientId = '00000000-0000-0000-0000-00000000c11e'
param alertEmail = 'operator@example.com'
param owner = 'audio-team'
param costCentre = '4711'
