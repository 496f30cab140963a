// What several files share: the type of tags, and the built-in roles that may be assigned.

@export()
@description('Tags of a resource.')
type resourceTags = {
  @description('Value of the tag.')
  *: string
}

@export()
@description('Ids of the built-in roles that are assigned here. They are the same in every tenant.')
var roleIds = {
  // The Functions host requires it on its storage, where it makes containers for locks and keys. It covers what the code
  // needs: uploads, results, feedback, and the key that signs URLs.
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  // Dead letters: Event Grid has no narrower role.
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  // The host queues each upload's event, and poison messages.
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  // The host writes its diagnostic events to a table.
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  // Send telemetry, read none.
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  // Read secrets. The vault holds the two function keys and nothing else.
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  // Pull images only.
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
}
