// The secret that Graph sends back with each notification. The first deployment makes it; a value of its own with every
// deployment would cut off the subscriptions that carry the last one. It goes through the control plane: neither the vault's
// firewall nor the deployer's roles are in the way, and it is in no parameter file, environment or log.
param vaultName string

@secure()
@description('Used once, where there is no clientState yet.')
param newClientState string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

@onlyIfNotExists()
resource clientState 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'client-state'
  properties: { value: newClientState, contentType: 'text/plain' }
}

// Without a version, so that a new one is picked up within a day, or at once with a restart.
output appSetting string = '@Microsoft.KeyVault(VaultName=${vault.name};SecretName=${clientState.name})'
