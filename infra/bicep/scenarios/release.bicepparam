// A release to green in prod, while blue is live.
using '../main.bicep'
extends 'prod.bicepparam'

param liveColour = 'blue'
