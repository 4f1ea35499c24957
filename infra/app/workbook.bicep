// The same as the alerts watch, as pictures: Application Insights > Workbooks.

param location string
param tags object
param applicationInsightsId string
param workspaceId string

// The names of the two resources are the only things in the file that differ between deployments.
var template = loadTextContent('../workbook.json')

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // A workbook's name must be a GUID; made of what it belongs to, a second deployment changes it instead of adding one.
  name: guid(applicationInsightsId, 'copilot-interaction-archive')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Copilot interaction archive'
    description: 'What is captured, what waits, what is missing'
    category: 'workbook'
    sourceId: applicationInsightsId
    version: '1.0'
    serializedData: replace(replace(template, '%workspace%', workspaceId), '%component%', applicationInsightsId)
  }
}

output workbookId string = workbook.id
