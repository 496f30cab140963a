// What an Owner deploys in prod.
using '../owner.bicep'

param environmentName = 'prod'
param pipelinePrincipalId = '00000000-0000-0000-0000-0000000000aa'
