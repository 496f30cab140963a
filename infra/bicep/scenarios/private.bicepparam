// prod inside a network, with a registry, and everything that is deleted after a time.
using '../main.bicep'
extends 'prod.bicepparam'

param privateNetworking = true
param containerRegistry = true
param resultRetentionDays = 365
