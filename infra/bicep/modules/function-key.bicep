// Puts a colour's function key into the vault, where the web page reads it. The host makes the key, so this is deployed
// after the code.

@description('Name of the vault.')
param vaultName string

@description('Name of the function app whose key this is.')
param functionAppName string

@description('Colour of that app.')
@allowed([
  'blue'
  'green'
])
param colour string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource functionApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
}

resource secret 'Microsoft.KeyVault/vaults/secrets@2025-05-01' = {
  parent: vault
  name: 'function-key-${colour}'
  properties: {
    // The host's default key. A key of our own, declared without a value, would change at each deployment, and the page
    // would use the old one until it reads the vault again.
    value: listKeys('${functionApp.id}/host/default', '2025-03-01').functionKeys.default
    contentType: 'function key of ${functionAppName}'
  }
}

@description('Name of the secret.')
output secretName string = secret.name
