"use strict";

SwaggerUIBundle({
  url: document.getElementById("description").dataset.url,
  dom_id: "#description",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false, // a token is not left in the browser
  validatorUrl: null, // and nothing is told to anybody else
});
