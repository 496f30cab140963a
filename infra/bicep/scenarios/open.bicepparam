// A page that asks nobody who he is, and shows everybody's uploads to all: opened on purpose.
using '../main.bicep'
extends '../dev.bicepparam'

param liveColour = 'none'
param webSignIn = false
param webHistory = 'shared'
param monthlyBudget = 0
