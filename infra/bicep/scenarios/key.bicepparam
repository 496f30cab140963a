// green's key in prod. The names are those that the other scenarios have.
using '../modules/function-key.bicep'

param vaultName = 'kv-tonearm-prod-6ncfmd'
param functionAppName = 'func-tonearm-prod-green-6ncfmd'
param colour = 'green'
