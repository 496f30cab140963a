// prod inside a network, with green live, a registry, and everything that is deleted after a time.
using '../main.bicep'
extends 'prod.bicepparam'

param liveColour = 'green'
param slotColour = 'green'
param privateNetworking = true
param containerRegistry = true
param resultRetentionDays = 365
