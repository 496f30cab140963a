// The live colour's function key into the vault, whence the web page has it. Deployed after the code: the host makes it.

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
  // checkov:skip=CKV_AZURE_41:A function key has no end; docs/deploy.md says how it is changed
  parent: vault
  name: 'function-key-${colour}'
  properties: {
    // The host's default key and not one of our own: declared without a value, a key is made anew at each deployment,
    // and the page would call with the old one until it asks the vault again.
    value: listKeys('${functionApp.id}/host/default', '2025-03-01').functionKeys.default
    contentType: 'function key of ${functionAppName}'
  }
}

@description('Name of the secret.')
output secretName string = secret.name
