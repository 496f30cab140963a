// What prod.bicepparam deploys, once the values that a person fills in are there; with the slot that a release prepares.
using '../main.bicep'
extends '../prod.bicepparam'

param liveColour = 'blue'
param slotColour = 'green'
param webClientId = '00000000-0000-0000-0000-00000000c11e'
param alertEmail = 'operator@example.com'
param owner = 'audio-team'
param costCentre = '4711'
